"""NAME.md, in the form of docs/results: the answer first, then figures, pictures and origin."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trainer.report.pages.answer import finding
from trainer.report.pages.charts import Chart
from trainer.report.pages.grids import Grid
from trainer.report.pages.pictures import Shown
from trainer.report.pages.sections import Bar, Block, Bullets, Folded, sections
from trainer.report.table import Table

_MARKUP = re.compile(r"\*|<(?=[A-Za-z/!?])|\[(?=[^\]]*\]\()")  # emphasis, a tag, a link or a picture


def as_markdown(
    table: Table,
    charts: Sequence[Chart],
    pictures: Mapping[str, str],
    *,
    beside: Path,
    numbers: Sequence[str] = ("results.json", "results.csv"),
) -> str:
    """Return the page for the folder `beside`.

    `pictures` has the file name of each chart's picture, `numbers` those of the files with each run's numbers.
    """
    rest = f"Each run's numbers: {', '.join(f'[{name}]({name})' for name in numbers)}."
    text = "\n".join([f"# {plain(table.question)}", "", *body(table, charts, pictures), rest]) + "\n"
    others = [readings.row.experiment for readings in table.readings]
    for report in {experiment.report for experiment in (*table.experiments, *others)}:
        text = text.replace(f"(report {report},", f"({link_to_report('report', report, beside)},")
    return text


def link(text: str, page: str, beside: Path) -> str:
    """Return a link to `page` if that file exists, seen from the folder `beside`, or else the plain text."""
    return f"[{text}]({page})" if (beside / page.partition("#")[0]).is_file() else text


def link_to_report(word: str, report: str, beside: Path) -> str:
    """Return `report b35c`, linked to its section of the page about the reports if that exists."""
    page = next((page for page in ("../reports.md", "../../reports.md") if (beside / page).is_file()), "reports.md")
    return link(f"{word} {report}", f"{page}#{report}", beside)


def body(table: Table, charts: Sequence[Chart], pictures: Mapping[str, str]) -> Iterable[str]:
    """Yield the lines between the title and the links to the numbers."""
    answer = finding(table)
    yield f"**{plain(answer.text)}** {answer.note}"
    for title, blocks in sections(table, charts):
        if shown := [line for block in blocks for line in _block(block, pictures)]:
            yield from ["", f"## {title}", *shown]
    yield ""


def _block(block: Block, pictures: Mapping[str, str]) -> Iterable[str]:
    match block:
        case str():
            yield from ["", plain(block)]
        case Grid():
            yield from grid_lines(block)
        case Chart():
            yield from ["", f"![{plain(f'{block.title}. {block.alt}')}]({pictures[block.name]})"]
            yield from ["", plain(f"{block.title}: {block.about[:1].lower()}{block.about[1:]}")]
        case Bullets():
            yield from ["", f"{block.title}:", "", *(f"- {plain(line)}" for line in block.lines)]
        case Folded() | Shown() | Bar():
            pass


def grid_lines(grid: Grid) -> Iterable[str]:
    """Yield a table with its caption above it."""
    yield from ["", f"{plain(grid.caption)}.", ""]
    yield f"| {' | '.join(map(_words, grid.header))} |"
    yield "|" + "|".join("---" if place in grid.text else "---:" for place in range(len(grid.header))) + "|"
    for row in grid.rows:
        yield f"| {' | '.join(map(_words, row))} |"


def cell(text: str) -> str:
    """Return a text, which may have markup, as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _words(text: str) -> str:
    return cell(plain(text))


def plain(text: str) -> str:
    """Return a text in which no emphasis, tag or link begins, such as that of a label or a question."""
    return _MARKUP.sub(r"\\\g<0>", text)
