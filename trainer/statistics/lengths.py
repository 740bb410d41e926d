"""Cost at equal accuracy: the length of a run that reaches an accuracy, from whole runs of several lengths.

A schedule ends with its run, so the curve of a long run does not say what a shorter one reaches. Each length is a run
of its own. A straight line of accuracy against the logarithm of cost is fitted to the runs of one seed by least
squares, and read at the accuracy. So each seed has a number.

The mean accuracy lies within the lengths, but a single seed's line may be read beyond its own: as far as its lengths
are apart on the axis of the logarithm, so of 5 and 10 epochs from 2.5 to 20. There the line of two runs has sqrt(5)
times the noise of one. Further out only the noise is read, such as 1e44 seconds of a seed that is almost flat.

A second length doubles the cost of a study. So one configuration may have several and the others one. Then all runs at
the lengths that everyone has are read along one slope, that of the configurations with several. A wrong
slope only scales the logarithm of the ratio of two with the same cost of an epoch. But it weighs accuracy against
quicker epochs, so it has an interval, and a slope that may be 0 tells no cost.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, NamedTuple

from trainer.statistics.describe import Values, quantile


class Trained(NamedTuple):
    """A whole run of one length."""

    epochs: float
    seconds: float
    accuracy: float


Cost = Literal["epochs", "seconds"]
COSTS: tuple[Cost, ...] = ("epochs", "seconds")
State = Literal["within", "not reached", "passed", "flat", "one length"]
"""Place of the accuracy: `within` the lengths, so that they tell a cost, `not reached` by the longest one, `passed` by
the shortest one, or `flat` if for a seed it does not rise with the length, or rises so little that its line is there
only far beyond its lengths. One slope for all is flat if it may be 0."""


@dataclass(frozen=True)
class Slope:
    """Gain in accuracy when the cost is multiplied by e, by least squares within seeds."""

    gain: float
    half: float | None  # of the 95 % t-interval, None where nothing is left to tell the noise

    @property
    def rises(self) -> bool:
        return self.half is not None and self.gain > self.half


@dataclass(frozen=True)
class Along:
    """One slope for all configurations of a table, and the lengths at which all of them are read."""

    slopes: Mapping[Cost, Slope]
    at: frozenset[float]  # epochs that all have
    shortest: float  # epochs between which the slope was measured
    longest: float


@dataclass(frozen=True)
class Lengths:
    """The runs of one configuration by seed, and the accuracy that is asked for. Both accuracies are of one unit."""

    target: float
    runs: Mapping[int, Sequence[Trained]]
    cut: int = 0  # runs that are left out because they ended before their length
    along: Along | None = None  # where not every configuration of the table has several lengths

    @property
    def of_several(self) -> dict[int, list[Trained]]:
        """Return the runs of each seed with several lengths, the shortest first."""
        found = {seed: sorted(runs) for seed, runs in self.runs.items()}
        return {seed: runs for seed, runs in found.items() if runs[0].epochs < runs[-1].epochs}

    @property
    def usable(self) -> dict[int, list[Trained]]:
        """Return the runs by seed that tell the cost, the shortest first."""
        if self.along is None:
            return self.of_several
        at = self.along.at
        found = {seed: sorted(run for run in runs if run.epochs in at) for seed, runs in self.runs.items()}
        return {seed: runs for seed, runs in found.items() if {run.epochs for run in runs} == at}

    @property
    def shortest(self) -> tuple[float, float]:
        """Return (epochs, mean accuracy) of the shortest run of each seed."""
        return self._mean_of([runs[0] for runs in self.usable.values()])

    @property
    def longest(self) -> tuple[float, float]:
        """Return (epochs, mean accuracy) of the longest run of each seed."""
        return self._mean_of([runs[-1] for runs in self.usable.values()])

    def _mean_of(self, runs: Sequence[Trained]) -> tuple[float, float]:
        return fmean(run.epochs for run in runs), fmean(run.accuracy for run in runs)

    @property
    def state(self) -> State:
        """Judge by means over seeds. It is all seeds or none: leaving out unlucky ones would flatter the rest."""
        if not self.usable:
            return "one length"
        if self.along:
            return self._state_along(self.along)
        if self.longest[1] < self.target:
            return "not reached"
        if self.shortest[1] > self.target:
            return "passed"
        read = [_place(runs, cost, self.target) for runs in self.usable.values() for cost in COSTS]
        return "flat" if None in read else "within"

    def _state_along(self, along: Along) -> State:
        if not all(slope.rises for slope in along.slopes.values()):
            return "flat"
        epochs = fmean(self._along(runs, "epochs", along) for runs in self.usable.values())
        if epochs > math.log(along.longest):
            return "not reached"
        return "passed" if epochs < math.log(along.shortest) else "within"

    def _along(self, runs: Sequence[Trained], cost: Cost, along: Along) -> float:
        """Return the logarithm of the cost at the target, along the common slope from the middle of these runs."""
        missing = self.target - fmean(run.accuracy for run in runs)
        return fmean(_logs(runs, cost)) + missing / along.slopes[cost].gain

    def costs(self, cost: Cost) -> Values:
        """Return by seed what a run costs that reaches the accuracy, none unless it is within the lengths."""
        if self.state != "within":
            return {}
        usable = sorted(self.usable.items())
        if self.along:
            return {seed: math.exp(self._along(runs, cost, self.along)) for seed, runs in usable}
        places = {seed: _place(runs, cost, self.target) for seed, runs in usable}
        return {seed: math.exp(place) for seed, place in places.items() if place is not None}

    def accuracies(self, epochs: float) -> Values:
        """Return by seed the accuracy of its run of this length."""
        return {seed: run.accuracy for seed, runs in self.runs.items() for run in runs if run.epochs == epochs}

    @property
    def needed(self) -> float | None:
        """Return the epochs at which the line of all runs reaches the accuracy, or None if it does not rise.

        Beyond the longest run this is an extrapolation, of at most e^700 epochs, which a float holds.
        """
        runs = [run for runs in self.usable.values() for run in runs]
        if self.along:
            rises = self.along.slopes["epochs"].rises
            return math.exp(min(700.0, self._along(runs, "epochs", self.along))) if rises else None
        start, slope = _line(runs, "epochs")
        return math.exp(min(700.0, (self.target - start) / slope)) if slope > 0 else None


def along_one_slope(table: Sequence[Lengths]) -> list[Lengths]:
    """Return what a table's configurations have, each to be read along one slope if some have one length alone.

    Nothing changes where all have several lengths, or none has, or no length is one that all have. Who has no runs
    hinders nobody.
    """
    begun = [each for each in table if each.runs]
    several = [runs for each in begun for runs in each.of_several.values()]
    if not several or all(each.of_several for each in begun):
        return [*table]
    shared = shared_lengths(begun)
    if not shared:
        return [*table]
    epochs = [run.epochs for run in _all(several)]
    along = Along({cost: _within_seeds(several, cost) for cost in COSTS}, shared, min(epochs), max(epochs))
    return [replace(each, along=along) for each in table]


def shared_lengths(table: Iterable[Lengths]) -> frozenset[float]:
    """Return the epochs of which everyone with runs has one."""
    own = [frozenset(run.epochs for run in _all(each.runs.values())) for each in table if each.runs]
    return frozenset.intersection(*own) if own else frozenset()


def _all(several: Iterable[Sequence[Trained]]) -> list[Trained]:
    return [run for runs in several for run in runs]


def _within_seeds(several: Sequence[Sequence[Trained]], cost: Cost) -> Slope:
    """Return the slope that the runs of several seeds have in common, each seed with a height of its own."""
    x: list[float] = []
    y: list[float] = []
    for runs in several:
        logs, accuracies = _logs(runs, cost), [run.accuracy for run in runs]
        x += [each - fmean(logs) for each in logs]
        y += [each - fmean(accuracies) for each in accuracies]
    squares = math.fsum(each**2 for each in x)
    if not squares:  # equal times tell no gain
        return Slope(0.0, None)
    gain = math.fsum(a * b for a, b in zip(x, y, strict=True)) / squares
    df = len(x) - len(several) - 1
    if df < 1:
        return Slope(gain, None)
    rest = math.fsum((b - gain * a) ** 2 for a, b in zip(x, y, strict=True))
    return Slope(gain, quantile(df) * math.sqrt(rest / df / squares))


def _logs(runs: Sequence[Trained], cost: Cost) -> list[float]:
    return [math.log(run.epochs if cost == "epochs" else run.seconds) for run in runs]


def _line(runs: Sequence[Trained], cost: Cost) -> tuple[float, float]:
    """Return (accuracy at a cost of 1, its gain when the cost is multiplied by e), by least squares."""
    x, y = _logs(runs, cost), [run.accuracy for run in runs]
    middle, height = fmean(x), fmean(y)
    slope = math.fsum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    slope /= math.fsum((a - middle) ** 2 for a in x) or math.inf  # equal times tell no gain
    return height - slope * middle, slope


def _place(runs: Sequence[Trained], cost: Cost, target: float) -> float | None:
    """Return the logarithm of the cost at which a seed's line is at the target.

    None if it does not rise, or if that is further beyond its lengths than they are apart.
    """
    start, slope = _line(runs, cost)
    if slope <= 0:
        return None
    x, place = _logs(runs, cost), (target - start) / slope
    apart = max(x) - min(x)
    return place if min(x) - apart <= place <= max(x) + apart else None
