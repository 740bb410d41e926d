"""index.html: one file that opens without a network, Vega inside. Charts repeat what tables say."""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import vl_convert

from trainer.panels.theme import theme
from trainer.report.pages import grids
from trainer.report.pages.charts import Chart
from trainer.report.pages.grids import Grid
from trainer.report.pages.sentences import certainty_note, finding, floor_text, nothing_missing, order_of
from trainer.report.tables import Table

_GOOD = ("consistent", "holds", "the first is")
_BAD = ("higher", "lower", "does not hold", "diverged", "failed", "unreadable")
_OPEN = ("undecided", "no runs", "not compared", "not split", "identical")

_LONG = 24  # characters, from which on a column of words needs room

_READING = (
    "± is the sample standard deviation over seeds, n the number of runs, brackets are 95% intervals.",
    "A published figure is one run. It is consistent with ours where it lies in the interval that one more run of ours"
    " would fall into with 95%: mean ± t · s · √(1 + 1/n), t with n less one degrees of freedom, and half a unit of its"
    " last printed decimal. Higher and lower say where ours are. Fewer than three runs have no verdict.",
    "Consistent is not confirmed: with three seeds the interval is wide, five standard deviations to either side. Each"
    " verdict errs in 1 of 20 by chance, so that of many some do.",
    "Claims are tested one by one, uncorrected.",
    "Pairs are tested by Welch's t-test; p is corrected for all pairs of the table after Holm, so that in at least"
    " 95 of 100 tables of equal configurations no pair is called different. The top group are those that this does not"
    " split from the best.",
    "Seeds for 80% power: how many a t-test would need of each configuration, were the difference and the spread"
    " what they seem here, at 5% over the number of pairs.",
)


def as_page(table: Table, charts: Sequence[Chart]) -> str:
    """The whole file."""
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
    found = finding(table)
    mark = "good" if found.certainty == "sure at the 5% level" else "open"
    yield "<header>"
    yield f'<p class="name">{escape(table.name)}</p>'
    yield f"<h1>{escape(table.question)}</h1>"
    yield f'<p class="answer">{escape(found.text)}</p>'
    yield f'<p><span class="sure {mark}">{escape(found.certainty)}</span></p>'
    yield f'<p class="quiet">{escape(certainty_note(found))}</p>'
    yield "</header>"


def _main(table: Table, charts: Sequence[Chart]) -> Iterable[str]:
    if table.experiments:
        yield "<h2>Published and reproduced</h2>"
        for experiment in table.experiments:
            yield f"<h3>{escape(experiment.title)}</h3>"
            yield from _grid(grids.published(table, experiment, headlines=True))
            if any(each.headline for each in table.comparisons if each.answer.experiment is experiment):
                yield f"<p>{escape(order_of(table, experiment))}</p>"
            yield from _details("Its other figures", [grids.published(table, experiment, headlines=False)])
    yield "<h2>Every configuration</h2>"
    yield from _grid(grids.configurations(table))
    if charts:
        yield "<h2>Charts</h2>"
        yield "<noscript><p>The charts need JavaScript; the tables hold their figures.</p></noscript>"
        for chart in charts:
            yield from _figure(chart)
    if table.pairs or table.floor:
        yield "<h2>Which differences are sure</h2>"
        yield f"<p>{escape(floor_text(table))}</p>"
        yield from _grid(grids.pairs(table))
    yield from _said(table)
    yield "<h2>Settings</h2>"
    yield from _grid(grids.departures(table))
    yield from _details("Every setting", [grids.settings(table)])
    yield "<h2>What is missing</h2>"
    if table.problems:
        yield from _grid(grids.problems(table))
    else:
        yield f"<p>{escape(nothing_missing(table))}</p>"
    yield "<h2>Where it comes from</h2>"
    yield from _grid(grids.provenance(table))


def _said(table: Table) -> Iterable[str]:
    notes = [(experiment.id, note) for experiment in table.experiments for note in experiment.notes]
    tables = [grids.claims(table), grids.by_eye(table)]
    if not notes and not any(grid.rows for grid in tables):
        return
    yield "<h2>What the report says</h2>"
    for grid in tables:
        yield from _grid(grid)
    if notes:
        yield "<h3>Where it is silent, or contradicts itself</h3>"
        yield "<ul>"
        yield from (f"<li>{escape(note)} <span class='quiet'>({escape(name)})</span></li>" for name, note in notes)
        yield "</ul>"


def _footer() -> Iterable[str]:
    yield "<footer>"
    yield "<h2>How to read this</h2>"
    yield "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in _READING)
    yield "</ul>"
    yield "<p>All figures are beside this page: results.json, and a line a run in results.csv.</p>"
    yield "</footer>"


def _grid(grid: Grid) -> Iterable[str]:
    """A table in a box that scrolls by itself where the screen is narrow, also by keyboard."""
    if not grid.rows:
        return
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
    mark = _mark(text) if grid.header[place] in ("verdict on ours", "outcome", "finding", "what") else ""
    inner = f'<span class="{mark}">{escape(text)}</span>' if mark else escape(text)
    return f"<td{_kind(place, grid)}>{inner}</td>"


def _mark(text: str) -> str:
    if "other settings" in text or text.startswith(_OPEN):
        return "open"
    if text.startswith(_BAD):
        return "bad"
    return "good" if text.startswith(_GOOD) else ""


def _kind(place: int, grid: Grid) -> str:
    if place not in grid.text:
        return ' class="number"'
    return ' class="long"' if any(len(row[place]) > _LONG for row in grid.rows) else ""


def _details(summary: str, tables: Sequence[Grid]) -> Iterable[str]:
    if any(grid.rows for grid in tables):
        yield f"<details><summary>{escape(summary)}</summary>"
        for grid in tables:
            yield from _grid(grid)
        yield "</details>"


def _figure(chart: Chart) -> Iterable[str]:
    yield "<figure>"
    yield f"<h3>{escape(chart.title)}</h3>"
    yield f"<figcaption>{escape(chart.about)}</figcaption>"
    yield f'<div class="chart" data-spec="spec-{chart.name}" data-alt="{escape(chart.alt)}"></div>'
    yield "</figure>"


def _bare(spec: dict[str, Any]) -> dict[str, Any]:
    """Without its title, which the page says in words that wrap; as high as its steps make it, for the page sets the
    width and Vega-Lite will not fit one and step the other."""
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
    """Vega, Vega-Lite and Vega-Embed, as vl-convert carries them."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


@cache
def _resource(name: str) -> str:
    return (files("trainer.report.pages") / name).read_text(encoding="utf-8")
