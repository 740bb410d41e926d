"""Cost at equal accuracy: the length of a run that reaches an accuracy, from whole runs of several lengths.

A schedule ends with its run, so the curve of a long run does not say what a shorter one reaches. Each length is a run
of its own. A straight line of accuracy against the logarithm of cost is fitted to the runs of one seed by least
squares, and read at the accuracy. So each seed has a number, and two configurations are compared seed by seed.

The mean accuracy lies within the lengths, but a single seed's line may be read beyond its own: as far as its lengths
are apart on the axis of the logarithm, so of 5 and 10 epochs from 2.5 to 20. There the line of two runs has sqrt(5)
times the noise of one. Further out only the noise is read, such as 1e44 seconds of a seed that is almost flat.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

from trainer.statistics.describe import Values


class Trained(NamedTuple):
    """A whole run of one length."""

    epochs: float
    seconds: float
    accuracy: float


Cost = Literal["epochs", "seconds"]
State = Literal["within", "not reached", "passed", "flat", "one length"]
"""Place of the accuracy: `within` the lengths, so that they tell a cost, `not reached` by the longest one, `passed` by
the shortest one, or `flat` if for a seed it does not rise with the length, or rises so little that its line is there
only far beyond its lengths."""


@dataclass(frozen=True)
class Lengths:
    """The runs of one configuration by seed, and the accuracy that is asked for. Both accuracies are of one unit."""

    target: float
    runs: Mapping[int, Sequence[Trained]]
    cut: int = 0  # runs that are left out because they ended before their length

    @property
    def usable(self) -> dict[int, list[Trained]]:
        """Return the runs of each seed with several lengths, the shortest first."""
        found = {seed: sorted(runs) for seed, runs in self.runs.items()}
        return {seed: runs for seed, runs in found.items() if runs[0].epochs < runs[-1].epochs}

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
        if self.longest[1] < self.target:
            return "not reached"
        if self.shortest[1] > self.target:
            return "passed"
        costs: tuple[Cost, ...] = ("epochs", "seconds")
        read = [_place(runs, cost, self.target) for runs in self.usable.values() for cost in costs]
        return "flat" if None in read else "within"

    def costs(self, cost: Cost) -> Values:
        """Return by seed what a run costs that reaches the accuracy, none unless it is within the lengths."""
        if self.state != "within":
            return {}
        places = {seed: _place(runs, cost, self.target) for seed, runs in sorted(self.usable.items())}
        return {seed: math.exp(place) for seed, place in places.items() if place is not None}

    @property
    def needed(self) -> float | None:
        """Return the epochs at which the line of all runs reaches the accuracy, or None if it does not rise.

        Beyond the longest run this is an extrapolation, of at most e^700 epochs, which a float holds.
        """
        start, slope = _line([run for runs in self.usable.values() for run in runs], "epochs")
        return math.exp(min(700.0, (self.target - start) / slope)) if slope > 0 else None


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
