"""Other seeds of a run's configuration, and what their report says: for a model card."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import UserError
from trainer.report.configurations import Configuration
from trainer.report.pages.answer import finding
from trainer.report.pages.sentences import difference, mean_interval, p_value, verdict_of
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.statistics.describe import Sample, describe


@dataclass(frozen=True)
class Seeds:
    """The runs beside a run that differ in nothing but the seed, those that count, and the run itself."""

    sample: Sample  # of their test accuracies in percent
    seeds: tuple[int, ...]
    failed: int  # seeds of the configuration that diverged, stayed at chance or were stopped
    interval: str  # of the mean, such as `[93.10, 93.90]`
    label: str  # of the configuration
    verdicts: tuple[str, ...]  # sentences, empty for a folder that is no sweep's


def seeds_of(run: Path) -> Seeds | None:
    """Return what is known of a run's configuration from the folder that the run is in. None if it does not count."""
    try:
        table = read_table(run.resolve().parent)
    except UserError:  # a damaged sweep file or archive beside it is no reason against an export
        return None
    ours = next((each for each in table.configurations if any(_is(run, one.history.folder) for one in each.runs)), None)
    if ours is None:
        return None
    accuracies = ours.sample("test/accuracy")
    sample = describe(list(accuracies.values()))
    if sample is None:
        return None
    verdicts = tuple(_verdicts(table, ours)) if table.source and table.source.sweep_file else ()
    return Seeds(
        sample, tuple(accuracies), len(ours.failed) + len(ours.stopped), mean_interval(accuracies), ours.label, verdicts
    )


def _is(run: Path, folder: Path) -> bool:
    return folder.resolve() == run.resolve()


def _verdicts(table: Table, ours: Configuration) -> Iterator[str]:
    """Yield the answer of the sweep, this configuration against the best, and against published figures."""
    answer = finding(table)
    yield f"{table.question} {answer.text} {answer.note}"
    for each in table.against_best:
        if each.name == ours.label:
            word, found = table.verdicts[each.name].word, difference(table, each.difference)
            found = f"ratio {found}" if table.by_ratio else found
            yield f"Compared with the best, {table.ranked[0]}: {word} ({found}, p {p_value(each.p)})."
    for each in table.comparisons:
        if each.answer.configuration is not None and each.answer.configuration.label == ours.label and each.headline:
            printed = f"{each.figure.name} {each.figure.printed}"
            yield f"Report {each.answer.experiment.id} prints {printed} for {each.answer.name}: {verdict_of(each)}."
