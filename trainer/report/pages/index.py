"""The whole catalogue: every published row with a figure, and the verdict on our runs."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.published import experiments, rows
from trainer.report.pages.claims import all_claims, counts_text
from trainer.report.pages.markdown import link, link_to_report
from trainer.report.pages.readings import found
from trainer.report.pages.sentences import interval, marked_text, p_value, several, verdict_of
from trainer.report.published.comparisons import Comparison, answers_of, compared
from trainer.report.published.grades import KINDS, MEANING, Grade
from trainer.report.sources import source_of
from trainer.report.table import Table
from trainer.report.tables import read_table_of, unrun_table
from trainer.statistics.describe import LEVEL
from trainer.statistics.joint import joint
from trainer.statistics.table import noise_floor
from trainer.text import NONE, number, spread

PICTURE = "published.svg"
"""Name of the picture of all rows, beside the page."""

_BAR = 50  # characters
_FEWEST_P_VALUES = 5  # that say how they are spread
_JUDGED = ("consistent", "higher", "lower")
_STATES = (
    *(*_JUDGED, "undecided", "by our definition", "other settings"),
    *("not compared", "all runs failed", "no runs"),
)
_MEANING = {
    "consistent": "the published figure is in the 95% prediction interval of one more run",
    "higher": "our runs are higher",
    "lower": "our runs are lower",
    "undecided": "fewer than three runs, or runs that do not vary",
    "by our definition": "compared, but the report does not define the figure, so without a verdict",
    "other settings": "run, but at other settings than the row's, so without a verdict",
    "not compared": "a figure that no run of ours has, of times on hardware without a name, or of another network",
    "all runs failed": "run, but every run diverged or stayed at chance",
    "no runs": "no run of it in an archive here",
}


@dataclass(frozen=True)
class Line:
    """A published row and its headline figure."""

    sweep: str
    comparison: Comparison
    authors: Comparison | None  # at the settings of the authors' public code

    @property
    def report(self) -> str:
        return self.comparison.answer.experiment.report

    @property
    def state(self) -> str:
        """Return one of `_STATES`."""
        return _state(self.comparison)

    @property
    def marks(self) -> tuple[str, ...]:
        """Return what its verdict is subject to. What is no verdict has no marks."""
        return _marks(self.comparison)

    @property
    def has_runs(self) -> bool:
        """Return whether a run of its configuration has ended."""
        ours = self.comparison.answer.configuration
        return ours is not None and bool(ours.runs or ours.failed)

    @property
    def grade(self) -> Grade | None:
        return self.comparison.answer.grade


def _state(comparison: Comparison) -> str:
    said = verdict_of(comparison).partition(", settings ")[0]
    return next(state for state in reversed(_STATES) if state in said)


def _marks(comparison: Comparison) -> tuple[str, ...]:
    return comparison.marks if _state(comparison) in _JUDGED else ()


def catalogue(runs: Path, archives: Path | None = None) -> tuple[list[Line], list[Table]]:
    """Return (the rows with a figure, in the reports' order, the tables of the sweeps that have runs).

    Runs are in folders under `runs` and in the archives of `archives`. Raises ArchiveError for a damaged archive.
    """
    tables: dict[str, Table] = {}
    for name in dict.fromkeys(experiment.sweep for experiment in experiments()):
        if source := source_of(name, runs, archives):
            tables[name] = read_table_of(source)
    unrun: dict[str, Table | None] = {}
    lines: list[Line] = []
    for experiment in experiments():
        name = experiment.sweep
        if name not in tables and name not in unrun:
            unrun[name] = unrun_table(name, runs, archives)
        table = tables.get(name) or unrun[name]
        comparisons = table.comparisons if table else compared(answers_of([experiment], []))
        heads = [each for each in comparisons if each.headline and each.answer.experiment is experiment]
        theirs = {id(each.answer.row): each for each in table.authors_comparisons if each.headline} if table else {}
        lines += [Line(name, each, theirs.get(id(each.answer.row))) for each in heads]
    others = dict.fromkeys(name for row in rows() for name in row.read_otherwise)
    sources = [source for name in others if (source := source_of(name, runs, archives))]
    return lines, [*tables.values(), *map(read_table_of, sources)]


def as_json(lines: Sequence[Line]) -> list[dict[str, object]]:
    return [
        {
            "of": line.comparison.answer.experiment.id,
            "row": line.comparison.answer.name,
            "sweep": line.sweep,
            "figure": line.comparison.figure.name,
            "printed": line.comparison.figure.printed,
            "ours": line.comparison.mean,
            "n": len(line.comparison.sample),
            "state": line.state,
            "marks": list(line.marks),
            "grade": line.grade and line.grade.kind,
            "chosen_by_us": list(line.grade.chosen) if line.grade else [],
            "authors": line.authors and _reading(line.authors),
        }
        for line in lines
    ]


def _reading(comparison: Comparison) -> dict[str, object]:
    grade = comparison.answer.grade
    return {
        "command": shlex.join(["trainer", "train", *comparison.answer.words]),
        "ours": comparison.mean,
        "n": len(comparison.sample),
        "state": _state(comparison),
        "marks": list(_marks(comparison)),
        "grade": grade and grade.kind,
        "chosen_by_us": list(grade.chosen) if grade else [],
    }


def as_markdown(lines: Sequence[Line], tables: Sequence[Table], *, beside: Path) -> str:
    """Return the page for the folder `beside`. It links to the other pages that exist there."""
    return "\n".join(_page(lines, tables, beside)) + "\n"


def coverage(lines: Sequence[Line]) -> str:
    """Return a bar with # for rows with a verdict, + for other rows with runs and . for the rest."""
    counts = Counter(line.state for line in lines)
    judged = sum(counts[state] for state in _JUDGED)
    begun = sum(line.has_runs for line in lines) - judged
    full, half = round(_BAR * judged / len(lines)), round(_BAR * (judged + begun) / len(lines))
    bar = "#" * full + "+" * (half - full) + "." * (_BAR - half)
    marked = marked_text(line.marks for line in lines)
    return f"[{bar}] {judged} of {len(lines)} published rows have a verdict{marked}, {begun} more have runs"


def _page(lines: Sequence[Line], tables: Sequence[Table], beside: Path) -> Iterable[str]:
    counts = Counter(line.state for line in lines)
    yield "# Published and reproduced"
    yield ""
    yield "Every published row with its headline figure. `trainer report index` writes this page."
    yield f"A {link('verdict', '../statistics.md', beside)} needs three runs at the settings of its row. No report"
    yield "prints all of them, so each row has a grade: who says the settings."
    yield ""
    yield f"    {coverage(lines)}"
    yield ""
    yield f"![Published accuracies and ours, a line for each of the rows below]({PICTURE})"
    yield ""
    yield from _by_report(lines)
    yield "| | rows | |"
    yield "|---|---:|---|"
    for state in _STATES:
        marked = marked_text(line.marks for line in lines if line.state == state)
        yield f"| {state} | {counts[state]}{marked} | {_MEANING[state]} |"
    yield ""
    yield "*Interim*: planned seeds are missing. *Survivors only*: some runs failed or were stopped. *Seeds until"
    yield "decided*: seeds were added until something was decided. The 5% of a verdict is for planned seeds that are"
    yield "all there and trained."
    yield ""
    yield from _grades(lines)
    yield from _crossed("our reading", [(_state(each.comparison), each.grade, each.marks) for each in lines])
    theirs = [each.authors for each in lines if each.authors]
    yield from _crossed("the authors' reading", [(_state(each), each.answer.grade, _marks(each)) for each in theirs])
    yield from _jointly(lines)
    yield from _noise(lines)
    yield from _read_otherwise(tables, beside)
    claims = all_claims(tables)
    yield f"{link('Conclusions of the reports', 'claims.md', beside)}, each with its check:"
    yield counts_text(claims)
    yield ""
    for experiment in experiments():
        own = [line for line in lines if line.comparison.answer.experiment is experiment]
        if not own:
            continue
        sweep = _sweep(experiment.sweep, beside)
        yield f"## {experiment.title}"
        yield ""
        yield f"{link_to_report('Report', experiment.report, beside)}, {experiment.where}, answered by {sweep}."
        yield ""
        both = any(line.authors for line in own)
        more = " at the settings of the authors' public code |" if both else ""
        yield f"| row | figure | published | ours | 95% prediction interval of one more run | n | | settings |{more}"
        yield f"|---|---|---:|---:|---:|---:|---|---|{'---|' * both}"
        yield from (_row(line, both=both) for line in own)
        yield ""


def _by_report(lines: Sequence[Line]) -> Iterable[str]:
    """Yield how far each report is answered."""
    yield "| report | rows | with a verdict | with runs |"
    yield "|---|---:|---:|---:|"
    for report in dict.fromkeys(line.report for line in lines):
        own = [line for line in lines if line.report == report]
        judged = sum(line.state in _JUDGED for line in own)
        marked = marked_text(line.marks for line in own)
        yield f"| {report} | {len(own)} | {judged}{marked} | {sum(line.has_runs for line in own)} |"
    yield ""


def _jointly(lines: Sequence[Line]) -> Iterable[str]:
    """Yield how many verdicts are false by chance, and how their p-values lie."""
    judged = [line.comparison for line in lines if line.state in _JUDGED and line.comparison.p is not None]
    together = joint([each.p for each in judged if each.p is not None])
    if together is None:
        return
    configurations = {id(each.answer.configuration) for each in judged}
    n, counts = together.n, several(list(map(str, together.fifths)))
    marked = marked_text(_marks(each) for each in judged if each.p is not None and each.p < LEVEL)
    even = f" (Kolmogorov-Smirnov, p {p_value(together.p_uniform)})" if n >= _FEWEST_P_VALUES else ""
    yield f"All verdicts together: if each published figure were one more run of ours, {together.expected:.2g} of {n}"
    yield f"would be called higher or lower by chance. {together.significant} are{marked}."
    yield f"{together.corrected} of these remain if only 5% of what is called so may be false (Benjamini and Hochberg)."
    yield "By chance the p-values are spread evenly over 0 to 1. The five fifths of that range have"
    yield f"{counts} of {n}{even}."
    several_s = "s" * (len(configurations) > 1)
    yield f"Their rows are compared with {len(configurations)} configuration{several_s}. Rows with the same one are"
    yield "not independent."
    yield ""


def _noise(lines: Sequence[Line]) -> Iterable[str]:
    """Yield what the seed alone does to each configuration that has a verdict, once if it answers several rows."""
    judged = {id(line.comparison.answer.configuration): line for line in lines if line.state in _JUDGED}
    floors = [(line, noise_floor({"": line.comparison.sample})) for line in judged.values()]
    if not any(floor for _, floor in floors):
        return
    yield "What the seed alone does, at the settings of a row:"
    yield ""
    yield "| row | figure | standard deviation | 95% interval | n |"
    yield "|---|---|---:|---:|---:|"
    for line, floor in floors:
        if floor:
            figure, n = line.comparison.figure, len(line.comparison.sample)
            shown = 2 if figure.digits is not None else None
            std, low, high = (number(value, digits=shown) for value in (floor.std, floor.low, floor.high))
            row = f"{line.report} {line.comparison.answer.name}"
            yield f"| {row} | {figure.name} | {f'{std} {figure.unit}'.strip()} | [{low}, {high}] | {n} |"
    yield ""


def _read_otherwise(tables: Sequence[Table], beside: Path) -> Iterable[str]:
    """Yield what sweeps found that read a row otherwise."""
    found_by = [f"- {found(each)} ({_sweep(each.sweep, beside)})." for table in tables for each in table.readings]
    if found_by:
        yield "Rows under other readings of what their reports leave open:"
        yield ""
        yield from found_by
        yield ""


def _sweep(name: str, beside: Path) -> str:
    """Return a link to the page of a sweep, or its file where there is no page."""
    pages = (f"runs/{name}.md", f"{name}.md")  # made from an archive, written by hand
    page = next((page for page in pages if (beside / page).is_file()), None)
    return f"[{name}]({page})" if page else f"`sweeps/{name}.yaml`"


def _grades(lines: Sequence[Line]) -> Iterable[str]:
    """Yield how many rows are of each grade, under our reading and under the authors'."""
    ours = Counter(line.grade.kind for line in lines if line.grade)
    theirs = Counter(line.authors.answer.grade.kind for line in lines if line.authors and line.authors.answer.grade)
    yield "| who says the settings | rows, our reading | rows, authors' reading | |"
    yield "|---|---:|---:|---|"
    yield from (f"| {kind} | {ours[kind]} | {theirs[kind]} | {MEANING[kind]} |" for kind in KINDS)
    yield ""
    yield f"{theirs.total()} of {len(lines)} rows have a second reading, after public code of the report's authors."
    yield "Nobody can prove that it is the version behind the report. The number of keys that only we chose is in the"
    yield "last columns. The page of a sweep names them. Precision is listed there and decides no grade."
    yield ""


def _crossed(reading: str, rows: Sequence[tuple[str, Grade | None, tuple[str, ...]]]) -> Iterable[str]:
    """Yield how many rows of each grade have each verdict, under one reading."""
    yield f"| {reading} | {' | '.join(KINDS)} |"
    yield f"|---|{'---:|' * len(KINDS)}"
    for state in _STATES:
        of_kind = {kind: [marks for said, grade, marks in rows if said == state and grade and grade.kind == kind]
                   for kind in KINDS}  # fmt: skip
        if any(of_kind.values()):
            yield f"| {state} | {' | '.join(f'{len(each)}{marked_text(each)}' for each in of_kind.values())} |"
    yield ""


def _row(line: Line, *, both: bool) -> str:
    comparison = line.comparison
    digits = comparison.figure.digits
    cells = [
        comparison.answer.name,
        comparison.figure.name,
        f"{comparison.figure.printed} {comparison.figure.unit.strip('%')}".strip(),
        spread(comparison.sample.values(), digits=digits),
        interval(comparison.interval, digits=digits),
        str(len(comparison.sample)),
        ", ".join([line.state, *line.marks, *_by_best_epoch(comparison)]),
        line.grade.text.removeprefix("settings ") if line.grade else "not known here",
    ]
    if both:
        cells.append(_authors_cell(line.authors))
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _by_best_epoch(comparison: Comparison) -> list[str]:
    """Return the verdict had the report printed its best epoch, where that is another one."""
    best = comparison.on_best_epoch if _state(comparison) in _JUDGED else None
    return [] if best in (None, comparison.verdict) else [f"by the best epoch {best}"]


def _authors_cell(comparison: Comparison | None) -> str:
    if comparison is None:
        return NONE
    found = f"{spread(comparison.sample.values(), digits=comparison.figure.digits)}, " if comparison.sample else ""
    grade = comparison.answer.grade
    said = ", ".join([_state(comparison), *_marks(comparison), *_by_best_epoch(comparison)])
    return f"{found}{said}{f', {grade.text}' if grade else ''}"
