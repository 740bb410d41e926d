"""index.html: one file with Vega inside, which opens without a network. Charts show figures of the tables."""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import vl_convert

from trainer.panels.theme import theme
from trainer.report.configurations import MARKS
from trainer.report.pages.answer import finding
from trainer.report.pages.charts import Chart
from trainer.report.pages.grids import Grid
from trainer.report.pages.sections import Block, Bullets, Folded, sections
from trainer.report.tables import Table

_GOOD = ("better", "consistent", "holds", "compatible", "the first is", "different", "equivalent")
_BAD = ("worse", "higher", "lower", "does not hold", "diverged", "at chance", "all runs failed", "failed", "unreadable")
_OPEN = ("undecided", "by our definition", "no runs", "not compared", "not significant", "identical")

_LONG = 24  # characters above which a column of text needs room

_READING = (
    "± is the sample standard deviation over seeds, n is the number of runs, and brackets are 95% intervals.",
    "A published figure is one run. It is consistent with our runs if it is in the 95% prediction interval of one more"
    " run: mean ± t · s · √(1 + 1/n), where t has n - 1 degrees of freedom. Half a unit of the last printed decimal is"
    " added to either side. Higher means that our runs are higher, lower that they are lower. Fewer than three runs"
    " have no verdict, nor have runs that do not vary.",
    "Consistent is not confirmed: with three seeds the interval extends five standard deviations to either side. Of"
    " 20 figures that are consistent, about 1 is called higher or lower by chance.",
    "A verdict says who gives the settings of its row: the report prints all, public code of its authors has the rest,"
    " or we read in what nobody says. Then the verdict is on our reading. Precision decides no grade.",
    "Claims are tested one by one, uncorrected. Compatible is said of an amount that our runs do not refute. Many other"
    " amounts are compatible with them, too.",
    "Interim: planned runs are still missing, so this is no verdict yet. Survivors only: some runs of the configuration"
    " failed, and the verdict is about the others. Seeds until decided: seeds were added until the sweep was decided,"
    " which intervals for a fixed number of seeds do not know. Its answer is that of the sequential test.",
    "A run fails if it diverges, or if its test accuracy is not above guessing while another run of the table has"
    " learned. Failed runs are counted, and are in no mean.",
    "A sweep whose question is not about accuracy names its outcome. One that is always positive, as a width or a beta,"
    " is compared by the ratio of runs of one seed: the mean of the log ratios with its t-interval. Cosines, which may"
    " be negative, are compared by differences.",
    "Each configuration is compared with the best one, by two tests that must both find the difference: Hsu's for one"
    " spread and all comparisons at once, and Welch's for the spreads of the two. If none is better than all others,"
    " one is called so in at most 5 of 100 tables.",
)


def as_page(table: Table, charts: Sequence[Chart]) -> str:
    """Return the whole file."""
    specs = [_script(f"spec-{chart.name}", _bare(chart.spec)) for chart in charts]
    looks = _script("looks", {"light": _look("light"), "dark": _look("dark")})
    drawn = [looks, *specs, f"<script>{_bundle()}</script>", f"<script>{_resource('page.js')}</script>"]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(table.question)}</title>",
            f"<style>{_resource('page.css')}</style>",
            "</head>",
            "<body>",
            *_header(table),
            "<main>",
            *_main(table, charts),
            "</main>",
            *_footer(),
            *(drawn if charts else []),
            "</body>",
            "</html>",
            "",
        ]
    )


def _header(table: Table) -> Iterable[str]:
    answer = finding(table)
    mark = "good" if answer.certainty in ("significant at the 5% level", "decided") else "open"
    yield "<header>"
    yield f'<p class="name">{escape(table.name)}</p>'
    yield f"<h1>{escape(table.question)}</h1>"
    yield f'<p class="answer">{escape(answer.text)}</p>'
    yield f'<p><span class="sure {mark}">{escape(answer.certainty)}</span></p>'
    yield f'<p class="quiet">{escape(answer.note)}</p>'
    yield "</header>"


def _main(table: Table, charts: Sequence[Chart]) -> Iterable[str]:
    for title, blocks in sections(table, charts):
        yield f"<h2>{escape(title)}</h2>"
        if any(isinstance(block, Chart) for block in blocks):
            yield "<noscript><p>The charts need JavaScript. The tables have the same figures.</p></noscript>"
        for block in blocks:
            yield from _block(block)


def _block(block: Block) -> Iterable[str]:
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


def _footer() -> Iterable[str]:
    yield "<footer>"
    yield "<h2>How to read this</h2>"
    yield "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in _READING)
    yield "</ul>"
    yield "<p>All figures are in results.json beside this page, and in results.csv with one line per run.</p>"
    yield "</footer>"


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
    mark = _mark(text) if grid.header[place] in ("verdict on our runs", "outcome", "finding", "problem") else ""
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


def _bare(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec without its title, which the page shows as text that wraps, and with a fixed height.

    The page sets the width, and Vega-Lite cannot fit the width while it steps the height.
    """
    bare = {key: value for key, value in spec.items() if key != "title"}
    if isinstance(height := spec["height"], dict):
        field = spec["encoding"]["y"]["field"]
        bare["height"] = height["step"] * len({row[field] for row in spec["data"]["values"]})
    return bare


def _look(name: str) -> dict[str, Any]:
    return {**theme(name), "background": "transparent", "padding": 4}


def _script(name: str, content: Any) -> str:
    text = json.dumps(content, allow_nan=False).replace("<", "\\u003c")  # no text may end the element
    return f'<script type="application/json" id="{name}">{text}</script>'


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed, which vl-convert bundles."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


@cache
def _resource(name: str) -> str:
    return (files("trainer.report.pages") / name).read_text(encoding="utf-8")
