"""Other readings of published rows, by sweeps that set otherwise what a report leaves open.

A row names them (`read_otherwise` in published.yaml). They say which readings give the printed figure, where ours does
not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from trainer.config.overrides import flatten, read_overrides
from trainer.published import Experiment, PublishedRow, experiments, runs_of
from trainer.report.configurations import Configuration
from trainer.report.published.comparisons import Answer, Comparison, Filed, comparison_of, departures_of, row_names
from trainer.report.published.figures import figures


@dataclass(frozen=True)
class Readings:
    """A row's first figure beside each configuration of a sweep that reads the row otherwise."""

    sweep: str
    comparisons: tuple[Comparison, ...]  # one for each configuration, of the same row and figure

    @property
    def row(self) -> Answer:
        return self.comparisons[0].answer

    @property
    def printed(self) -> str:
        return self.comparisons[0].figure.printed

    def labels(self, verdict: str) -> list[str]:
        """Return the configurations with a verdict, at the row's printed settings."""
        found = [each.answer.configuration for each in self.comparisons if each.reproduced and each.verdict == verdict]
        return [each.label for each in found if each]


def readings_of(sweep: str, configurations: Sequence[Configuration], filed: Mapping[str, Filed]) -> Iterator[Readings]:
    """Yield what a sweep has for each row that it reads otherwise.

    The figure is compared with the accuracy at the epoch that a run's `protocol` names: that is part of a reading. What
    the report prints is not, and must be the row's. `filed` has, by a configuration's label, what the sweep's file
    resolves to.
    """
    for experiment, name, row in read_otherwise_by(sweep):
        figure = replace(figures(row, experiment)[0], measure="headline")
        asked = flatten(read_overrides(runs_of(row)[0]))
        apart = [tuple(departures_of(asked, each.config, filed[each.label].config)) for each in configurations]
        answers = [
            Answer(experiment, row, name, each, tuple(configurations), differences)
            for each, differences in zip(configurations, apart, strict=True)
        ]
        yield Readings(sweep, tuple(comparison_of(each, figure, headline=True) for each in answers))


@cache
def read_otherwise_by(sweep: str) -> tuple[tuple[Experiment, str, PublishedRow], ...]:
    """Return the rows of other sweeps that a sweep reads otherwise, each with its experiment and its label."""
    return tuple(
        (experiment, name, row)
        for experiment in experiments()
        for name, row in zip(row_names(experiment), experiment.rows, strict=True)
        if sweep in row.read_otherwise
    )
