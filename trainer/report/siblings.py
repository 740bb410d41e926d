"""Runs that differ in their seed and one key alone, as one: what bands, ranges of rates and lengths are numbers of.

The key is the learning rate, or the number of epochs where a sweep asks for a cost at equal accuracy.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from trainer.report.folders import Run, percent
from trainer.runs.bands import RATE, Band, Curve, bands_of
from trainer.runs.charged import charged_seconds
from trainer.runs.outcomes import DECADES, EPOCHS, Outcome, decades
from trainer.statistics.describe import Values
from trainer.statistics.lengths import Lengths, Trained
from trainer.statistics.seedwise import scale_of


@dataclass(frozen=True)
class Siblings:
    label: str  # of what all of them share, such as `vgg_a`
    runs: tuple[Run, ...]  # finished and above chance
    failed: tuple[Run, ...]  # diverged or at chance
    marks: tuple[str, ...] = ()  # what a verdict on them is subject to, of `configurations.MARKS`
    _known: dict[str, Values] = field(default_factory=dict[str, Values], compare=False, repr=False)

    def sample(self, name: str) -> Values:
        """Return an outcome of all runs together, by seed, without seeds that do not have it."""
        if name not in self._known:
            outcome = Outcome(name)
            if outcome.over_lengths:
                found = self.lengths(outcome).costs("seconds" if outcome.unit == "s" else "epochs")
            else:
                found = self._decades() if name == DECADES else self._bands(outcome)
            self._known[name] = found
        return self._known[name]

    def lengths(self, outcome: Outcome) -> Lengths:
        """Return the finished runs by seed and length, and the accuracy that is asked for, in percent."""
        found: dict[int, list[Trained]] = {}
        for run in self.runs:
            accuracy, seconds = run.measure("headline/accuracy"), charged_seconds(run.history.summary)
            if accuracy is not None and seconds:
                found.setdefault(run.seed, []).append(Trained(float(run.config[EPOCHS]), seconds, accuracy))
        return Lengths(percent(outcome.target), found)

    def _decades(self) -> Values:
        trained: dict[int, dict[float, bool]] = {}
        for runs, well in ((self.failed, False), (self.runs, True)):
            for run in runs:
                trained.setdefault(run.seed, {})[float(run.config[RATE])] = well
        return {seed: decades(rates) for seed, rates in sorted(trained.items()) if len(rates) > 1}

    def bands(self, key: str) -> Sequence[Band]:
        """Return the bands of a key of the rows over the learning rates, one for each seed that has any."""
        curves = [curve for run in (*self.runs, *self.failed) if (curve := _curve(run, key, self.label))]
        return bands_of(curves, key).bands if curves else ()

    def _bands(self, outcome: Outcome) -> Values:
        found = {band.seed: outcome.of_band(band) for band in self.bands(outcome.key)}
        return {seed: value for seed, value in found.items() if value is not None}


def _curve(run: Run, key: str, group: str) -> Curve | None:
    trace = run.traces.get(key)
    if trace is None:
        return None
    return Curve(run.history, group, run.seed, float(run.config[RATE]), trace.steps, trace.values)


def pooled_over_rates(measure: str, groups: Sequence[Siblings]) -> dict[str, Values]:
    """Return a number of single runs by group and seed: its mean over the rates, the geometric one if it is a ratio.

    A rate counts for a seed only if every group with runs has the number there: groups are compared at the same rates.
    """
    values: dict[str, dict[tuple[int, float], float]] = {
        group.label: {
            (run.seed, float(run.config[RATE])): value
            for run in group.runs
            if (value := run.measure(measure)) is not None
        }
        for group in groups
    }
    there = [set(each) for each in values.values() if each]
    everywhere = set[tuple[int, float]].intersection(*there) if there else set[tuple[int, float]]()
    by_group = {label: {key: each[key] for key in everywhere if key in each} for label, each in values.items()}
    ratio = scale_of(
        {label: dict(enumerate(each.values())) for label, each in by_group.items()}, Outcome(measure).scale
    )
    return {
        label: {
            seed: _mean([value for (own, _), value in each.items() if own == seed], geometric=ratio == "ratio")
            for seed in sorted({seed for seed, _ in each})
        }
        for label, each in by_group.items()
    }


def _mean(values: Iterable[float], *, geometric: bool) -> float:
    return math.exp(fmean(map(math.log, values))) if geometric else fmean(values)
