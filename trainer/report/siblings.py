"""Runs that differ in their seed and one key alone, as one: what bands, ranges of rates and lengths are numbers of.

The key is the learning rate, or the number of epochs where a sweep asks for a cost at equal accuracy.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean

import numpy as np

from trainer.report.folders import Run, percent
from trainer.runs.bands import RATE, Band, Curve, Steps, bands_of
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
    table: "Together | None" = field(default=None, compare=False, repr=False)  # None for these alone
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
        """Return the whole runs by seed and length, and the accuracy that is asked for, in percent.

        A run that was cut short is none of its length: its schedule did not end.
        """
        found: dict[int, list[Trained]] = {}
        for run in self.runs:
            if run.cut_short:
                continue
            accuracy, seconds = run.measure("headline/accuracy"), charged_seconds(run.history.summary)
            if accuracy is not None and seconds:
                found.setdefault(run.seed, []).append(Trained(float(run.config[EPOCHS]), seconds, accuracy))
        return Lengths(percent(outcome.target), found, cut=sum(run.cut_short for run in self.runs))

    def _decades(self) -> Values:
        """Return the span of the rates that train, of the seeds with a run at each of the rates."""
        rates = (self.table or Together([self])).rates
        trained: dict[int, dict[float, bool]] = {}
        for runs, well in ((self.failed, False), (self.runs, True)):
            for run in runs:
                if (rate := float(run.config[RATE])) in rates:
                    trained.setdefault(run.seed, {})[rate] = well
        whole = {seed: found for seed, found in sorted(trained.items()) if found.keys() == rates}
        return {seed: decades(found) for seed, found in whole.items() if len(found) > 1}

    def bands(self, key: str) -> Sequence[Band]:
        """Return the bands of a key of the rows over the learning rates, one for each seed that has any.

        They are of the rates and steps that all siblings of the table have at that seed, so they can be compared.
        """
        return (self.table or Together([self])).bands(key).get(self.label, ())

    def curves(self, key: str) -> list[Curve]:
        """Return the steps of a key of the rows, of each run that has any."""
        return [curve for run in (*self.runs, *self.failed) if (curve := _curve(run, key, self.label))]

    def _bands(self, outcome: Outcome) -> Values:
        found = {band.seed: outcome.of_band(band) for band in self.bands(outcome.key)}
        return {seed: value for seed, value in found.items() if value is not None}


@dataclass
class Together:
    """All siblings of a table. They are compared at the rates and steps that all of them have."""

    groups: list[Siblings]
    _bands: dict[str, dict[str, list[Band]]] = field(default_factory=dict[str, dict[str, list[Band]]])

    @cached_property
    def rates(self) -> set[float]:
        """Return the learning rates at which all siblings with runs have one, of whichever seed."""
        own = [{float(run.config[RATE]) for run in (*each.runs, *each.failed)} for each in self.groups]
        return set[float].intersection(*filled) if (filled := [each for each in own if each]) else set[float]()

    def bands(self, key: str) -> Mapping[str, Sequence[Band]]:
        """Return the bands of a key of the rows by label, one for each seed that has any."""
        if key not in self._bands:
            curves = [curve for each in self.groups for curve in each.curves(key) if curve.rate in self.rates]
            shared, ends = _shared_rates(curves), _ends(curves)
            own = [_until(ends.get((each.seed, each.rate)), each) for each in curves if each.rate in shared[each.seed]]
            whole = [band for group in _by_group(own).values() for band in bands_of(group, key).bands]
            steps = _shared_steps(whole)
            found: dict[str, list[Band]] = {}
            for band in whole:
                if len((cut := band.at(steps[band.seed])).steps):
                    found.setdefault(band.group, []).append(cut)
            self._bands[key] = found
        return self._bands[key]

    def left_out(self, key: str) -> list[str]:
        """Return what is not compared since not all siblings have it, such as `rate 0.3` or `seed 2 after step 28`."""
        curves = [curve for each in self.groups for curve in each.curves(key)]
        said = [f"rate {rate:g}" for rate in sorted({curve.rate for curve in curves} - self.rates)]
        curves = [curve for curve in curves if curve.rate in self.rates]
        shared, ends = _shared_rates(curves), _ends(curves)
        kept = {band.seed: int(band.steps[-1]) for bands in self.bands(key).values() for band in bands}
        cut: dict[int, int] = {}
        for seed in sorted(shared):
            own = [curve for curve in curves if curve.seed == seed]
            said += [f"seed {seed} at rate {rate:g}" for rate in sorted({curve.rate for curve in own} - shared[seed])]
            own = [curve for curve in own if curve.rate in shared[seed]]
            for rate in sorted({curve.rate for curve in own if curve.last > ends.get((seed, curve.rate), curve.last)}):
                said.append(f"seed {seed} at rate {rate:g} after step {ends[seed, rate]}")
            if seed in kept and max(ends.get((seed, curve.rate), curve.last) for curve in own) > kept[seed]:
                cut[seed] = kept[seed]
        if cut.keys() == kept.keys() and len({*cut.values()}) == 1:
            return [*said, f"all steps after {next(iter(cut.values()))}"]
        return [*said, *(f"seed {seed} after step {step}" for seed, step in cut.items())]


def _by_group(curves: Iterable[Curve]) -> dict[str, list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.group, []).append(curve)
    return found


def _shared_rates(curves: Iterable[Curve]) -> dict[int, set[float]]:
    """Return by seed the rates at which each group with that seed has a curve."""
    rates: dict[int, dict[str, set[float]]] = {}
    for curve in curves:
        rates.setdefault(curve.seed, {}).setdefault(curve.group, set()).add(curve.rate)
    return {seed: set[float].intersection(*groups.values()) for seed, groups in rates.items()}


def _ends(curves: Iterable[Curve]) -> dict[tuple[int, float], int]:
    """Return by seed and rate the last step before a run of any group diverged."""
    found: dict[tuple[int, float], int] = {}
    for curve in curves:
        if curve.diverged:
            place = curve.seed, curve.rate
            found[place] = min(curve.last, found.get(place, curve.last))
    return found


def _until(end: int | None, curve: Curve) -> Curve:
    """Return a curve as if its run had diverged after `end`, where that of another group did."""
    if end is None or curve.last <= end:
        return curve
    return replace(curve, values=np.where(curve.steps > end, np.nan, curve.values))


def _shared_steps(bands: Iterable[Band]) -> dict[int, Steps]:
    """Return by seed the steps that the bands of all groups have."""
    found: dict[int, Steps] = {}
    for band in bands:
        found[band.seed] = np.intersect1d(found.get(band.seed, band.steps), band.steps)
    return found


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
