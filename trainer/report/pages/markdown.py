"""NAME.md, in the form of docs/results: the answer first, then figures, pictures, what it took."""

from collections.abc import Iterable, Mapping, Sequence

from trainer.report.pages import grids
from trainer.report.pages.charts import Chart
from trainer.report.pages.grids import Grid
from trainer.report.pages.sentences import certainty_note, finding, floor_text, nothing_missing, order_of
from trainer.report.tables import Table


def as_markdown(table: Table, charts: Sequence[Chart], pictures: Mapping[str, str]) -> str:
    """`pictures`: the file of each chart, as a link from the page."""
    rest = "Each run's numbers: [results.json](results.json), [results.csv](results.csv)."
    return "\n".join([f"# {table.question}", "", *body(table, charts, pictures), rest]) + "\n"


def body(table: Table, charts: Sequence[Chart], pictures: Mapping[str, str]) -> Iterable[str]:
    """The lines between the title and what says where the numbers lie."""
    found = finding(table)
    yield f"**{found.text}** {certainty_note(found)}"
    yield ""
    for experiment in table.experiments:
        heads = grids.published(table, experiment, headlines=True)
        if heads.rows:
            yield from _grid(heads)
            yield order_of(table, experiment)
            yield ""
    yield from _grid(grids.configurations(table))
    for chart in charts:
        yield f"![{chart.title}. {chart.alt}]({pictures[chart.name]})"
        yield ""
        yield f"{chart.title}: {chart.about[:1].lower()}{chart.about[1:]}"
        yield ""
    if table.pairs or table.floor:
        yield "## Which differences are sure"
        yield ""
        if table.pairs:
            yield from _grid(grids.pairs(table))
        yield floor_text(table)
        yield ""
    yield from _section("## What the report says", [grids.claims(table), grids.by_eye(table)])
    notes = [f"- {experiment.id}: {note}" for experiment in table.experiments for note in experiment.notes]
    if notes:
        yield from ["Where the report is silent, or contradicts itself:", "", *notes, ""]
    others = [grids.published(table, experiment, headlines=False) for experiment in table.experiments]
    yield from _section("## Other published figures", others)
    yield from _section("## Settings", [grids.departures(table)])
    yield from ["## What is missing", ""]
    if table.problems:
        yield from _grid(grids.problems(table))
    else:
        yield from [nothing_missing(table), ""]
    yield from _section("## How", [grids.provenance(table)])


def _section(title: str, tables: Sequence[Grid]) -> Iterable[str]:
    filled = [grid for grid in tables if grid.rows]
    if filled:
        yield from [title, ""]
        for grid in filled:
            yield from _grid(grid)


def _grid(grid: Grid) -> Iterable[str]:
    yield f"{grid.caption}."
    yield ""
    yield f"| {' | '.join(map(_cell, grid.header))} |"
    yield "|" + "|".join("---" if place in grid.text else "---:" for place in range(len(grid.header))) + "|"
    for row in grid.rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
