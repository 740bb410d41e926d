"""Other readings of published rows, on the page of their sweep and in the index."""

from collections.abc import Iterator

from trainer.published import Experiment
from trainer.report.pages.grids import Grid
from trainer.report.pages.sentences import interval, several, verdict_of
from trainer.report.published.readings import Readings
from trainer.report.table import Table
from trainer.text import NONE, spread


def other_readings(table: Table) -> Iterator[Grid | str]:
    """Yield, for each row that a sweep reads otherwise, what was found, and its configurations beside the figure."""
    for readings in table.readings:
        yield f"{found(readings)}."
        row = readings.row
        header = ("reading", "published", "ours", "95% prediction interval of one more run", "verdict on our runs")
        cells = tuple(
            (
                each.answer.configuration.label if each.answer.configuration else NONE,
                readings.printed,
                spread(each.sample.values(), digits=each.figure.digits),
                interval(each.interval, digits=each.figure.digits),
                verdict_of(each),
            )
            for each in readings.comparisons
        )
        where = f"report {row.experiment.report}, {row.experiment.where}"
        yield Grid(f"{row.name} ({where}) under other readings, each by the epoch that it names", header, cells, (0, 4))


def elsewhere(experiment: Experiment) -> str:
    """Return which sweeps read rows of an experiment otherwise, or an empty string."""
    sweeps = dict.fromkeys(name for row in experiment.rows for name in row.read_otherwise)
    return f"Other readings of these rows are tried by {several([f'`{name}`' for name in sweeps])}." if sweeps else ""


def found(readings: Readings) -> str:
    """Return which readings agree with the printed figure, and which do not."""
    parts = [f"{readings.printed} of {readings.row.name} in report {readings.row.experiment.report} "]
    agree = readings.labels("consistent")
    parts.append(f"is consistent with {several(agree)}" if agree else "is consistent with none of these readings yet")
    parts += [
        f"ours {'are' if len(labels) > 1 else 'is'} {verdict} with {several(labels)}"
        for verdict in ("higher", "lower")
        if (labels := readings.labels(verdict))
    ]
    return ", and ".join([parts[0] + parts[1], *parts[2:]])
