"""The outcome that a sweep's file names, and everything that the runs' probes measured, compared seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from trainer.report.configurations import Configuration
from trainer.report.siblings import Siblings, pooled_over_rates
from trainer.runs.outcomes import STANDARD, Outcome
from trainer.statistics.comparisons import Comparison, with_best, with_control
from trainer.statistics.describe import Values
from trainer.statistics.seedwise import Contrast, Scale, scale_of, scaled, seedwise, unpaired

_OF_ONE_RATE = "runs/beta/mean"
"""Says less of several rates than their `runs/beta/high` does."""


@dataclass(frozen=True)
class Measured:
    """An outcome of several configurations, or of several networks over all learning rates."""

    outcome: Outcome
    samples: Mapping[str, Values]  # by label
    control: str = ""  # label of what all others are compared with
    highest: bool = True  # is best

    @cached_property
    def filled(self) -> dict[str, Values]:
        return {label: sample for label, sample in self.samples.items() if sample}

    @cached_property
    def scale(self) -> Scale:
        return scale_of(self.filled, self.outcome.scale)

    @cached_property
    def scaled(self) -> dict[str, Values]:
        """Return the samples on the scale of the tests: logarithms where a ratio is compared."""
        return {label: scaled(sample, self.scale) for label, sample in self.samples.items()}

    @cached_property
    def ranked(self) -> list[str]:
        """Return the labels with values, the best first. Two are ranked by the seeds at which they are compared."""
        means = {label: fmean(self.scaled[label].values()) for label in self.filled}
        if len(means) == 2 and self.outcome.seedwise:
            a, b = means
            means = {a: seedwise(self.filled[a], self.filled[b], self.scale).log[0], b: 0.0}
        return sorted(means, key=lambda label: means[label], reverse=self.highest)

    @cached_property
    def reference(self) -> str:
        """Return what the others are compared with: the control if it has values, or else the best."""
        return self.control if self.control in self.filled else next(iter(self.ranked), "")

    @cached_property
    def contrasts(self) -> dict[str, Contrast]:
        """Return each other sample over the reference, or minus it, in the order of the samples.

        Seed by seed, or else by Dunnett's and Welch's tests, as accuracies are compared.
        """
        if not self.outcome.seedwise:
            n = {label: min(len(sample), len(self.filled[self.reference])) for label, sample in self.filled.items()}
            found = with_control(self.filled, self.reference)
            return {each.name: unpaired(each, n[each.name]) for each in found}
        others = [label for label in self.filled if label != self.reference]
        return {
            label: seedwise(
                self.filled[label], self.filled[self.reference], self.scale, comparisons=max(1, len(others))
            )
            for label in others
        }

    @cached_property
    def against_best(self) -> list[Comparison]:
        """Return the comparisons with the best: seed by seed for two samples, Hsu's and Welch's for more."""
        if len(self.filled) != 2 or not self.outcome.seedwise:
            return with_best(self.scaled, highest=self.highest)
        best, other = self.ranked
        found = seedwise(self.filled[other], self.filled[best], self.scale)
        return [Comparison(other, *found.log, found.p, found.finding)]

    @cached_property
    def against_control(self) -> list[Comparison]:
        """Return the comparisons with the control, none if the file names none or it has no value."""
        if self.control not in self.filled:
            return []
        return [Comparison(label, *found.log, found.p, found.finding) for label, found in self.contrasts.items()]

    @property
    def unpaired(self) -> bool:
        """Return whether some seeds could not be paired that should be."""
        return self.outcome.seedwise and any(not each.paired for each in self.contrasts.values())


def siblings_of(configurations: Sequence[Configuration]) -> list[Siblings]:
    """Return the runs of each network, or so, at all learning rates or of all lengths, in the table's order."""
    return list({each.siblings.label: each.siblings for each in configurations if each.siblings}.values())


def measured(outcome: Outcome, configurations: Sequence[Configuration], *, by_rates: bool) -> dict[str, Values]:
    """Return an outcome by label and seed: of each configuration, or `by_rates` of all learning rates together.

    What siblings have together is of them in any case.
    """
    groups = siblings_of(configurations)
    if not (by_rates or outcome.over):
        return {each.label: each.sample(outcome.name) for each in configurations}
    if outcome.over:
        return {group.label: group.sample(outcome.name) for group in groups}
    return pooled_over_rates(outcome.name, groups)


def asked_of(
    outcome: Outcome | None, configurations: Sequence[Configuration], *, control: str, highest: bool
) -> Measured | None:
    """Return what the file asks for, or None if it names no outcome."""
    if outcome is None:
        return None
    return Measured(
        outcome, measured(outcome, configurations, by_rates=outcome.over_rates), control=control, highest=highest
    )


def all_measured(configurations: Sequence[Configuration], asked: Measured | None, control: str) -> list[Measured]:
    """Return the standard outcomes that at least two labels have values of, without the one that is asked for.

    They are compared with the control, or with the first configuration of the file.
    """
    if not any(run.result.measures for each in configurations for run in each.runs):
        return []
    by_rates = asked.outcome.over_rates if asked else bool(siblings_of(configurations))
    found: list[Measured] = []
    for name in STANDARD:
        outcome = Outcome(name)
        told = asked and name == asked.outcome.name
        if told or (outcome.over_rates and not by_rates) or (by_rates and name == _OF_ONE_RATE):
            continue
        samples = measured(outcome, configurations, by_rates=by_rates)
        filled = [label for label, sample in samples.items() if sample]
        if len(filled) > 1:
            found.append(Measured(outcome, samples, control if control in filled else filled[0]))
    return found
