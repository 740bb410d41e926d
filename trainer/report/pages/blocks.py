"""Parts of a section as HTML."""

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

from trainer.report.configurations import MARKS
from trainer.report.pages.charts import Chart
from trainer.report.pages.grids import Grid
from trainer.report.pages.pictures import Shown
from trainer.report.pages.sections import Bar, Block, Bullets, Folded

Address = Callable[[Path], str]
"""Address of a picture, seen from a page, by its path."""

_GOOD = ("better", "consistent", "holds", "compatible", "the first is", "different", "equivalent")
_BAD = ("worse", "not the best", "higher", "lower", "does not hold", "diverged", "at chance", "all runs failed",
        "failed", "unreadable", "crashed")  # fmt: skip
_OPEN = ("undecided", "by our definition", "no runs", "not compared", "not significant", "identical")

_MARKED = ("verdict on our runs", "outcome", "finding", "problem", "state")
"""Columns whose words are coloured, like those of each seed."""
_LONG = 24  # characters above which a column of text needs room


def as_html(block: Block, address: Address) -> Iterable[str]:
    """Yield the lines of a part of a section. `address` is where the page finds a picture."""
    match block:
        case str():
            yield f"<p>{escape(block)}</p>"
        case Grid():
            yield from _grid(block)
        case Chart():
            yield from _figure(block)
        case Bullets():
            yield f"<h3>{escape(block.title)}</h3>"
            yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in block.lines)}</ul>"
        case Folded():
            yield f"<details><summary>{escape(block.grid.caption)}</summary>"
            yield from _grid(block.grid)
            yield "</details>"
        case Shown():
            yield from _pictures(block, address)
        case Bar():
            yield from _bar(block)


def _grid(grid: Grid) -> Iterable[str]:
    """Yield a table in a box that scrolls on a narrow screen, also by keyboard."""
    yield f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(grid.caption)}">'
    yield "<table>"
    yield f"<caption>{escape(grid.caption)}</caption>"
    heads = (f'<th scope="col"{_kind(place, grid)}>{escape(text)}</th>' for place, text in enumerate(grid.header))
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for first, *others in grid.rows:
        cells = (_cell(text, place, grid) for place, text in enumerate(others, start=1))
        yield f'<tr><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>'
    yield "</tbody></table></div>"


def _cell(text: str, place: int, grid: Grid) -> str:
    mark = _mark(text) if grid.header[place] in _MARKED or grid.header[place].startswith("seed ") else ""
    inner = f'<span class="{mark}">{escape(text)}</span>' if mark else escape(text)
    return f"<td{_kind(place, grid)}>{inner}</td>"


def _mark(text: str) -> str:
    if any(word in text for word in ("other settings", *MARKS)) or text.startswith(_OPEN):
        return "open"
    if text.startswith(_BAD):
        return "bad"
    return "good" if text.startswith(_GOOD) else ""


def _kind(place: int, grid: Grid) -> str:
    if place not in grid.text:
        return ' class="number"'
    return ' class="long"' if any(len(row[place]) > _LONG for row in grid.rows) else ""


def _figure(chart: Chart) -> Iterable[str]:
    yield "<figure>"
    yield f"<h3>{escape(chart.title)}</h3>"
    yield f"<figcaption>{escape(chart.about)}</figcaption>"
    yield f'<div class="chart" data-spec="spec-{chart.name}" data-alt="{escape(chart.alt)}"></div>'
    yield "</figure>"


def _pictures(shown: Shown, address: Address) -> Iterable[str]:
    yield f"<details><summary>{escape(shown.caption)}</summary>"
    yield '<div class="pictures">'
    for picture in shown.pictures:
        source, words = escape(address(picture.path)), escape(f"{picture.words} of {shown.run}")
        yield f'<figure><img src="{source}" alt="{words}" loading="lazy">'
        yield f"<figcaption>{escape(picture.words)}</figcaption></figure>"
    yield "</div></details>"


def _bar(bar: Bar) -> Iterable[str]:
    """Yield a bar of coloured parts. The sentence above it has the same counts, so it is hidden from screen readers."""
    parts = (f'<span class="{state}" style="flex-grow:{count}"></span>' for state, count in bar.parts if count)
    yield f'<div class="bar" aria-hidden="true">{"".join(parts)}</div>'
