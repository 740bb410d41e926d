"""The whole catalogue: every published row with a figure, and the verdict on our runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.published import experiments
from trainer.report.folders import run_folders
from trainer.report.pages.markdown import link, link_to_report
from trainer.report.pages.sentences import interval, verdict_of
from trainer.report.published.claims import OUTCOMES
from trainer.report.published.comparisons import Comparison, answers_of, compared
from trainer.report.tables import Table, read_table
from trainer.text import spread

_BAR = 50  # characters
_STATES = (
    *("consistent", "higher", "lower", "undecided", "by our definition", "other settings"),
    *("not compared", "all runs failed", "no runs"),
)
_MEANING = {
    "consistent": "the published figure is in the 95% prediction interval of one more run",
    "higher": "our runs are higher",
    "lower": "our runs are lower",
    "undecided": "fewer than three runs, or runs that do not vary",
    "by our definition": "compared, but the report does not define the figure, so without a verdict",
    "other settings": "run, but not at the published settings, so without a verdict",
    "not compared": "a figure that no run of ours has, of times on hardware without a name, or of another network",
    "all runs failed": "run, but every run diverged or stayed at chance",
    "no runs": "not run yet",
}


@dataclass(frozen=True)
class Line:
    """A published row and its headline figure."""

    sweep: str
    comparison: Comparison

    @property
    def state(self) -> str:
        """Return one of `_STATES`."""
        said = verdict_of(self.comparison)
        return next(state for state in reversed(_STATES) if state in said)


def catalogue(runs: Path) -> tuple[list[Line], list[Table]]:
    """Return (the rows with a figure, in the reports' order, the tables of the sweeps that have runs under `runs`)."""
    tables: dict[str, Table] = {}
    for name in dict.fromkeys(experiment.sweep for experiment in experiments()):
        if (runs / name).is_dir() and run_folders(runs / name):
            tables[name] = read_table(runs / name)
    lines: list[Line] = []
    for experiment in experiments():
        table = tables.get(experiment.sweep)
        comparisons = table.comparisons if table else compared(answers_of([experiment], []))
        lines += [
            Line(experiment.sweep, comparison)
            for comparison in comparisons
            if comparison.headline and comparison.answer.experiment is experiment
        ]
    return lines, list(tables.values())


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
        }
        for line in lines
    ]


def as_markdown(lines: Sequence[Line], tables: Sequence[Table], *, beside: Path) -> str:
    """Return the page for the folder `beside`. It links to the other pages that exist there."""
    return "\n".join(_page(lines, tables, beside)) + "\n"


def coverage(lines: Sequence[Line]) -> str:
    """Return a bar with # for rows with a verdict, + for other rows with runs and . for the rest."""
    counts = Counter(line.state for line in lines)
    judged = sum(counts[state] for state in ("consistent", "higher", "lower"))
    begun = len(lines) - counts["no runs"] - judged
    full, half = round(_BAR * judged / len(lines)), round(_BAR * (judged + begun) / len(lines))
    bar = "#" * full + "+" * (half - full) + "." * (_BAR - half)
    return f"[{bar}] {judged} of {len(lines)} published rows have a verdict, {begun} more have runs"


def _page(lines: Sequence[Line], tables: Sequence[Table], beside: Path) -> Iterable[str]:
    counts = Counter(line.state for line in lines)
    yield "# Published and reproduced"
    yield ""
    yield "Every published row with its headline figure. `trainer report index` writes this page."
    yield f"A {link('verdict', '../statistics.md', beside)} needs three runs at the published settings."
    yield ""
    yield f"    {coverage(lines)}"
    yield ""
    yield "| | rows | |"
    yield "|---|---:|---|"
    yield from (f"| {state} | {counts[state]} | {_MEANING[state]} |" for state in _STATES)
    yield ""
    claims = [claim for table in tables for claim in table.claims]
    if claims:
        outcomes = Counter(claim.outcome for claim in claims)
        said = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES)
        yield f"Claims of the reports about these tables: {said}."
        yield ""
    for experiment in experiments():
        own = [line for line in lines if line.comparison.answer.experiment is experiment]
        if not own:
            continue
        page = f"{experiment.sweep}.md"
        sweep = f"[{experiment.sweep}]({page})" if (beside / page).is_file() else f"`sweeps/{experiment.sweep}.yaml`"
        yield f"## {experiment.title}"
        yield ""
        yield f"{link_to_report('Report', experiment.report, beside)}, {experiment.where}, answered by {sweep}."
        yield ""
        yield "| row | figure | published | ours | 95% prediction interval of one more run | n | |"
        yield "|---|---|---:|---:|---:|---:|---|"
        yield from map(_row, own)
        yield ""


def _row(line: Line) -> str:
    comparison = line.comparison
    digits = 0 if comparison.figure.measure == "params" else 2
    cells = [
        comparison.answer.name,
        comparison.figure.name,
        f"{comparison.figure.printed} {comparison.figure.unit.strip('%')}".strip(),
        spread(comparison.sample.values(), digits=digits),
        interval(comparison.interval, digits=digits),
        str(len(comparison.sample)),
        line.state,
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
