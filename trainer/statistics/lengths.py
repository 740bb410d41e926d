"""Cost at equal accuracy: the length of a run that reaches an accuracy, from whole runs of several lengths.

A schedule ends with its run, so the curve of a long run does not say what a shorter one reaches. Each length is a run
of its own. A straight line of accuracy against the logarithm of cost is fitted to the runs of one seed by least
squares, and read at the accuracy. So each seed has a number, and two configurations are compared seed by seed.
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
the shortest one, or `flat` if it does not rise with the length for each seed."""


@dataclass(frozen=True)
class Lengths:
    """The runs of one configuration by seed, and the accuracy that is asked for. Both accuracies are of one unit."""

    target: float
    runs: Mapping[int, Sequence[Trained]]

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
        rises = all(_line(runs, "epochs")[1] > 0 for runs in self.usable.values())
        return "within" if rises and all(_line(runs, "seconds")[1] > 0 for runs in self.usable.values()) else "flat"

    def costs(self, cost: Cost) -> Values:
        """Return by seed what a run costs that reaches the accuracy, none unless it is within the lengths."""
        if self.state != "within":
            return {}
        return {seed: _read(_line(runs, cost), self.target) for seed, runs in sorted(self.usable.items())}

    @property
    def needed(self) -> float | None:
        """Return the epochs at which the line of all runs reaches the accuracy, or None if it does not rise.

        Beyond the longest run this is an extrapolation.
        """
        line = _line([run for runs in self.usable.values() for run in runs], "epochs")
        return _read(line, self.target) if line[1] > 0 else None


def _line(runs: Sequence[Trained], cost: Cost) -> tuple[float, float]:
    """Return (accuracy at a cost of 1, its gain when the cost is multiplied by e), by least squares."""
    x = [math.log(run.epochs if cost == "epochs" else run.seconds) for run in runs]
    y = [run.accuracy for run in runs]
    middle, height = fmean(x), fmean(y)
    slope = math.fsum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    slope /= math.fsum((a - middle) ** 2 for a in x) or math.inf  # equal times tell no gain
    return height - slope * middle, slope


def _read(line: tuple[float, float], target: float) -> float:
    """Return the cost at which a rising line is at the target."""
    start, slope = line
    power = (target - start) / slope
    return math.exp(power) if power < 700 else math.inf  # else it overflows
