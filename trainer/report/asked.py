"""The outcome that a sweep's file names, and everything that the runs' probes measured, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from trainer.report.configurations import Configuration, siblings_of
from trainer.report.controls import arms_of
from trainer.report.siblings import pooled_over_rates
from trainer.runs.bands import RATE
from trainer.runs.families import Family, families_of
from trainer.runs.outcomes import STANDARD, Outcome
from trainer.statistics.comparisons import Comparison, with_best, with_control
from trainer.statistics.describe import Values
from trainer.statistics.seedwise import Contrast, Scale, of_comparison, scale_of, scaled, seedwise

_OF_ONE_RATE = "runs/beta/mean"
"""Says less of several rates than their `runs/beta/high` does."""


@dataclass(frozen=True)
class Measured:
    """An outcome of several configurations, or of several networks over all learning rates."""

    outcome: Outcome
    samples: Mapping[str, Values]  # by label
    control: str = ""  # that the file names: a label, or a choice that makes families
    highest: bool = True  # is best
    named: tuple[Family, ...] = ()  # which are compared with which control; all with the control if it is a label

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
    def families(self) -> list[Family]:
        """Return who is compared with which control, of all with values. None is, if no control has any."""
        named = self.named or ((Family(self.control, (*self.samples,)),) if self.control in self.samples else ())
        filled = (replace(each, members=tuple(name for name in each.members if name in self.filled)) for each in named)
        return [each for each in filled if each.control in self.filled and len(each.members) > 1]

    @cached_property
    def references(self) -> dict[str, str]:
        """Return what each is compared with, by label: its control, or else the best."""
        if not self.families:
            return dict.fromkeys(
                (label for label in self.filled if label != self.ranked[0]), next(iter(self.ranked), "")
            )
        return {label: each.control for each in self.families for label in each.members if label != each.control}

    @cached_property
    def reference(self) -> str:
        """Return what all others are compared with: one label, or the choice that is the control."""
        found = {*self.references.values()} or {*self.ranked[:1]}
        return self.control if len(found) > 1 else next(iter(found), "")

    @property
    def in_pairs(self) -> bool:
        """Return whether the contrasts are seed by seed, as those with a control are, and those of two."""
        return self.outcome.seedwise and (bool(self.families) or len(self.filled) <= 2)

    @cached_property
    def contrasts(self) -> dict[str, Contrast]:
        """Return each other sample over its reference, or minus it, by label.

        Seed by seed, or else by Dunnett's and Welch's tests, as accuracies are compared. Without a control the
        reference of more than two was picked by their runs, and it is compared with the best (Hsu's and Welch's tests).
        """
        if not self.in_pairs:
            families = [{name: self.scaled[name] for name in each.members} for each in self.families]
            found = [
                with_control(samples, each.control) for each, samples in zip(self.families, families, strict=True)
            ] or [with_best(self.scaled, highest=self.highest)]
            return {
                each.name: of_comparison(each, self._smaller(each.name), self.scale)
                for family in found
                for each in family
            }
        sizes = {name: len(each.members) - 1 for each in self.families for name in each.members}
        return {
            label: seedwise(self.filled[label], self.filled[reference], self.scale, comparisons=sizes.get(label, 1))
            for label, reference in self.references.items()
        }

    def _smaller(self, label: str) -> int:
        return min(len(self.filled[label]), len(self.filled[self.references[label]]))

    @cached_property
    def against_best(self) -> list[Comparison]:
        """Return the comparisons with the best. With two it is seed by seed or Welch's test, else Hsu's and Welch's."""
        if len(self.filled) != 2 or not self.outcome.seedwise:
            return with_best(self.scaled, highest=self.highest)
        best, other = self.ranked
        found = seedwise(self.filled[other], self.filled[best], self.scale)
        return [Comparison(other, *found.log, found.p, found.finding)]

    @cached_property
    def against_control(self) -> list[Comparison]:
        """Return the comparisons with the control, none if the file names none or it has no value."""
        if not self.families:
            return []
        return [Comparison(label, *found.log, found.p, found.finding) for label, found in self.contrasts.items()]

    @property
    def unpaired(self) -> bool:
        """Return whether some seeds could not be paired that should be."""
        return self.in_pairs and any(not each.paired for each in self.contrasts.values())


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
    samples = measured(outcome, configurations, by_rates=outcome.over_rates)
    return Measured(
        outcome, samples, control, highest, tuple(families_of(control, arms_of(configurations, outcome.over)))
    )


def all_measured(configurations: Sequence[Configuration], asked: Measured | None, control: str) -> list[Measured]:
    """Return the standard outcomes that at least two labels have values of, without the one that is asked for.

    They are compared with the control, or with the first configuration of the file.
    """
    if not any(run.result.measures for each in configurations for run in each.runs):
        return []
    by_rates = asked.outcome.over_rates if asked else bool(siblings_of(configurations))
    named = tuple(families_of(control, arms_of(configurations, RATE if by_rates else None)))
    found: list[Measured] = []
    for name in STANDARD:
        outcome = Outcome(name)
        told = asked and name == asked.outcome.name
        if told or (outcome.over_rates and not by_rates) or (by_rates and name == _OF_ONE_RATE):
            continue
        samples = measured(outcome, configurations, by_rates=by_rates)
        filled = [label for label, sample in samples.items() if sample]
        if len(filled) > 1:
            own = Measured(outcome, samples, control, named=named)
            found.append(own if own.families else Measured(outcome, samples, filled[0]))
    return found
