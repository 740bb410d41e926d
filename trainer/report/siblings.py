"""Runs that differ in their seed and one key alone, as one: what bands, ranges of rates and lengths are numbers of.

The key is the learning rate, or the number of epochs where a sweep asks for a cost at equal accuracy.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from trainer.report.folders import Run, percent
from trainer.runs.bands import RATE, Band, Curve, Steps, bands_of
from trainer.runs.charged import charged_seconds
from trainer.runs.outcomes import DECADES, EPOCHS, Outcome, decades
from trainer.statistics.describe import Values
from trainer.statistics.lengths import Lengths, Trained, along_one_slope
from trainer.statistics.seedwise import scale_of


@dataclass(frozen=True)
class Siblings:
    label: str  # of what all of them share, such as `vgg_a`
    runs: tuple[Run, ...]  # finished and above chance
    failed: tuple[Run, ...]  # diverged or at chance
    marks: tuple[str, ...] = ()  # what a verdict on them is subject to, of `configurations.MARKS`
    together: "Together | None" = field(default=None, compare=False, repr=False)  # None for these alone
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
        """Return the whole runs by seed and length, and how all of the table are read at the accuracy asked for."""
        return self._together.lengths(outcome)[self.label]

    def own_lengths(self, outcome: Outcome) -> Lengths:
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
        rates = self._together.rates
        by_seed = {seed: found for seed, found in self.trained(rates).items() if found.keys() == rates}
        return {seed: decades(found) for seed, found in by_seed.items() if len(found) > 1}

    def trained(self, rates: Collection[float]) -> dict[int, dict[float, bool]]:
        """Return by seed and rate, of these rates, whether its run trained."""
        found: dict[int, dict[float, bool]] = {}
        for runs, well in ((self.failed, False), (self.runs, True)):
            for run in runs:
                if (rate := float(run.config[RATE])) in rates:
                    found.setdefault(run.seed, {})[rate] = well
        return dict(sorted(found.items()))

    def bands(self, key: str) -> Sequence[Band]:
        """Return the bands of a key of the rows over the learning rates, one for each seed that has any.

        They are of the rates and steps that all siblings of the table have at that seed, so they can be compared.
        """
        return self._together.in_common(key).bands.get(self.label, ())

    @property
    def rates(self) -> set[float]:
        return {float(run.config[RATE]) for run in (*self.runs, *self.failed)}

    @property
    def _together(self) -> "Together":
        return self.together or Together([self])

    def curves(self, key: str) -> list[Curve]:
        """Return the steps of a key of the rows, of each run that has any."""
        return [curve for run in (*self.runs, *self.failed) if (curve := _curve(run, key, self.label))]

    def _bands(self, outcome: Outcome) -> Values:
        found = {band.seed: outcome.of_band(band) for band in self.bands(outcome.key)}
        return {seed: value for seed, value in found.items() if value is not None}


@dataclass(frozen=True)
class InCommon:
    """Bands that can be compared of a key of the rows."""

    bands: Mapping[str, Sequence[Band]]  # by label, one for each seed that has any
    left_out: tuple[str, ...]  # what not all have, such as `rate 0.3` or `seed 2 after step 28`


@dataclass
class Together:
    """All siblings of a table. They are compared at the rates and steps that all of them have.

    Who has fewer than two rates, at all or of a seed, has no band there and hinders nobody. Who has others than the
    rest leaves fewer to all, or none.
    """

    groups: list[Siblings]
    _known: dict[str, InCommon] = field(default_factory=dict[str, InCommon])

    @property
    def rates(self) -> set[float]:
        """Return the learning rates at which all siblings have runs, of whichever seeds."""
        return _shared(rates for each in self.groups if len(rates := each.rates) > 1)

    def in_common(self, key: str) -> InCommon:
        """Return what can be compared of a key, or what spans of rates leave out for `DECADES`."""
        if key not in self._known:
            self._known[key] = self._spans() if key == DECADES else self._bands(key)
        return self._known[key]

    def lengths(self, outcome: Outcome) -> dict[str, Lengths]:
        """Return the lengths of each, by label."""
        found = along_one_slope([each.own_lengths(outcome) for each in self.groups])
        return {each.label: lengths for each, lengths in zip(self.groups, found, strict=True)}

    def _spans(self) -> InCommon:
        said = self._without(self.rates, {each.label: each.rates for each in self.groups})
        for each in (each for each in self.groups if len(each.rates) > 1):
            lacking = {seed: self.rates - found.keys() for seed, found in each.trained(self.rates).items()}
            said += [f"seed {seed} of {each.label}, without a run at {_list(lacks)}" for seed, lacks in lacking.items()
                     if lacks]  # fmt: skip
        return InCommon({}, tuple(said))

    def _bands(self, key: str) -> InCommon:
        measured = {each.label: each.curves(key) for each in self.groups}
        by_label = {label: {curve.rate for curve in curves} for label, curves in measured.items()}
        common = _shared(rates for rates in by_label.values() if len(rates) > 1)
        said = self._without(common, by_label)
        curves = [
            curve for label, own in measured.items() if len(by_label[label]) > 1
            for curve in own if curve.rate in common and curve.last >= 0
        ]  # fmt: skip
        kept: list[Curve] = []
        for seed in sorted({curve.seed for curve in curves}):
            everyone = _by_group(curve for curve in curves if curve.seed == seed)
            groups = [own for own in everyone if len(own) > 1]
            said += [f"seed {seed} of {own[0].group}" for own in everyone if len(own) == 1]
            rates = _shared({curve.rate for curve in own} for own in groups)
            there = {curve.rate for own in groups for curve in own}
            said += [f"seed {seed} at rate {rate:g}" for rate in sorted(there - rates)]
            own = [curve for own in groups for curve in own if curve.rate in rates]
            ends = _ends(own)
            cut = sorted({curve.rate for curve in own if curve.last > ends.get(curve.rate, curve.last)})
            said += [f"seed {seed} at rate {rate:g} after step {ends[rate]}" for rate in cut]
            kept += [_until(ends.get(curve.rate), curve) for curve in own]
        whole = [band for own in _by_group(kept) for band in bands_of(own, key).bands]
        steps = _shared_steps(whole)
        found: dict[str, list[Band]] = {}
        for band in whole:
            if len((cut := band.at(steps[band.seed])).steps):
                found.setdefault(band.group, []).append(cut)
        return InCommon(found, (*said, *_steps_left_out(kept, whole, steps)))

    def _without(self, common: set[float], rates: Mapping[str, set[float]]) -> list[str]:
        """Return the rates, and who has one rate alone, that are not compared."""
        alone = [f"{label}, which has one rate" for label, own in rates.items() if len(own) == 1]
        left = set[float]().union(*(own for own in rates.values() if len(own) > 1)) - common
        return [*(f"rate {rate:g}" for rate in sorted(left)), *alone]


def _shared(rates: Iterable[set[float]]) -> set[float]:
    found = [*rates]
    return set[float].intersection(*found) if found else set[float]()


def _list(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in sorted(rates))


def _by_group(curves: Iterable[Curve]) -> list[list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.group, []).append(curve)
    return [*found.values()]


def _steps_left_out(curves: Sequence[Curve], whole: Sequence[Band], steps: Mapping[int, Steps]) -> Iterator[str]:
    """Yield which steps of which seeds not all have: the last ones, others, or all."""
    cut: dict[int, int] = {}
    for seed, kept in steps.items():
        if not len(kept):
            yield f"seed {seed}"
            continue
        if max(curve.last for curve in curves if curve.seed == seed) > kept[-1]:
            cut[seed] = int(kept[-1])
        if any((np.setdiff1d(band.steps, kept) < kept[-1]).any() for band in whole if band.seed == seed):
            yield f"steps of seed {seed} that not all have measured"
    if cut.keys() == steps.keys() and len({*cut.values()}) == 1:
        yield f"all steps after {next(iter(cut.values()))}"
    else:
        yield from (f"seed {seed} after step {step}" for seed, step in cut.items())


def _ends(curves: Iterable[Curve]) -> dict[float, int]:
    """Return by rate the last step before the run of any group diverged, of curves of one seed."""
    found: dict[float, int] = {}
    for curve in curves:
        if curve.diverged:
            found[curve.rate] = min(curve.last, found.get(curve.rate, curve.last))
    return found


def _until(end: int | None, curve: Curve) -> Curve:
    """Return a curve that ends as one that diverged after `end`, where a run of another group did."""
    if end is None or curve.last <= end:
        return curve
    return replace(curve, values=np.where(curve.steps > end, np.nan, curve.values), cut=True)


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
