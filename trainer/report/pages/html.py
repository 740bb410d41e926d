"""index.html: one file with Vega inside, which opens without a network. Charts show figures of the tables.

`trainer report --serve` serves the same page, with a section on top about what runs now.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import vl_convert

from trainer.panels.theme import theme
from trainer.report.pages.answer import finding
from trainer.report.pages.blocks import Address, as_html
from trainer.report.pages.charts import Chart
from trainer.report.pages.sections import Section, sections
from trainer.report.table import Table

_READING = (
    "± is the sample standard deviation over seeds, n is the number of runs, and brackets are 95% intervals.",
    "A published figure is one run. It is consistent with our runs if it is in the 95% prediction interval of one more"
    " run: mean ± t · s · √(1 + 1/n), where t has n - 1 degrees of freedom. Half a unit of the last printed decimal is"
    " added to either side. Higher means that our runs are higher, lower that they are lower. Fewer than three runs"
    " have no verdict, nor have runs that do not vary.",
    "Consistent is not confirmed: with three seeds the interval extends five standard deviations to either side. Of"
    " 20 figures that are consistent, about 1 is called higher or lower by chance.",
    "A verdict says who gives the settings of its row: the report prints all, public code of its authors has the rest,"
    " or we chose what nobody says. Then the verdict is on our reading. Precision decides no grade.",
    "Claims are tested one by one, uncorrected. Compatible is said of an amount that our runs do not refute. Many other"
    " amounts are compatible with them, too.",
    "Interim: planned runs are still missing, so this is no verdict yet. Survivors only: some runs of the configuration"
    " failed or were stopped early, and the verdict is about the others. Seeds until decided: seeds were added until"
    " the sweep was decided, which intervals for a fixed number of seeds do not know. Its answer is that of the"
    " sequential test.",
    "A run fails if it diverges, or if its test accuracy is not above guessing while another run of the table has"
    " learned. Failed runs are counted, and are in no mean.",
    "A sweep whose question is not about accuracy names its outcome. One that is always positive, as a width or a beta,"
    " is compared by ratios, and cosines, which may be negative, by differences. What probes measure is compared with a"
    " control seed by seed: the mean over the seeds, of log ratios for ratios, with its t-interval. Seconds, accuracies"
    " and the cost of an accuracy make no pairs.",
    "Each configuration is compared with the best one, by two tests that must both find the difference: Hsu's for one"
    " spread and all comparisons at once, and Welch's for the spreads of the two. If none is better than all others,"
    " one is called so in at most 5 of 100 tables. Of three and more, the others are at most not the best: another one"
    " is at least as good. They are not shown to differ from the one with the best mean, which the runs themselves"
    " have picked.",
)


def as_page(table: Table, charts: Sequence[Chart], address: Address, now: Section | None = None) -> str:
    """Return the whole file. `address` is where the page finds a picture.

    With `now`, a first section about what runs, the page is one for a server: its scripts are files beside it, and one
    of them keeps it up to date.
    """
    shown = [*([now] if now else []), *sections(table, charts)]
    drawn = [block for _, blocks in shown for block in blocks if isinstance(block, Chart)]
    specs = [_script(f"spec-{chart.name}", _bare(chart.spec)) for chart in drawn]
    looks = _script("looks", {"light": _look("light"), "dark": _look("dark")})
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
            *_main(shown, address),
            "</main>",
            *_footer(),
            *([looks, *specs] if drawn or now else []),
            *(_linked() if now else _inline() if drawn else []),
            "</body>",
            "</html>",
            "",
        ]
    )


def script(name: str) -> str:
    """Return a script of the page: `vega.js`, `page.js` or `live.js`."""
    return _bundle() if name == "vega.js" else _resource(name)


SCRIPTS = ("vega.js", "page.js", "live.js")
"""Scripts of a page that is served, in their order. One that is written has the first two inside."""


def _linked() -> Iterable[str]:
    yield from (f'<script src="{name}"></script>' for name in SCRIPTS)


def _inline() -> Iterable[str]:
    yield from (f"<script>{script(name)}</script>" for name in SCRIPTS[:2])


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


def _main(shown: Sequence[Section], address: Address) -> Iterable[str]:
    for title, blocks in shown:
        name = title.lower().replace(" ", "-")
        yield f'<section id="{name}" aria-labelledby="{name}-title">'
        yield f'<h2 id="{name}-title">{escape(title)}</h2>'
        if any(isinstance(block, Chart) for block in blocks):
            yield "<noscript><p>The charts need JavaScript. The tables have the same figures.</p></noscript>"
        for block in blocks:
            yield from as_html(block, address)
        yield "</section>"


def _footer() -> Iterable[str]:
    yield "<footer>"
    yield "<h2>How to read this</h2>"
    yield "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in _READING)
    yield "</ul>"
    yield "<p>All figures are in results.json beside this page, and in results.csv with one line per run.</p>"
    yield "</footer>"


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
