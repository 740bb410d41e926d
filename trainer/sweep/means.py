"""Searches over means: a point is one value for each key but the seed, and its value is the mean over several seeds.

Which points get all their seeds is decided as in asynchronous successive halving (ASHA, Li et al. 2020, eta = 2), with
seeds in the place of epochs: a point gets another one once its mean is among the better half of all that have as many.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState, create_trial

from trainer.sweep.file import Metric
from trainer.sweep.points import Point


@dataclass(frozen=True)
class Due:
    """A point that is worth another seed."""

    like: FrozenTrial  # a run of it
    seed: int


def merged(runs: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return a trial for each point, with the mean of its runs. Its first run stands for it until one has ended."""
    found: list[FrozenTrial] = []
    for group in _by_point(runs):
        first, values = group[0], _values(group)
        if values:
            first = as_complete(first, fmean(values))
        found.append(first)
    return found


def next_seed(runs: Sequence[FrozenTrial], metric: Metric, *, seeds_per_point: int, no_more_points: bool) -> Due | None:
    """Return the point whose next seed is worth most, or None if none is worth one.

    Of several it is the one with most seeds, then with the best mean. A point with a run that failed, was stopped early
    or has not ended gets none. Neither does one whose mean is in the worse half. It can come back, as worse points
    move the middle. The only point with so many seeds waits for a second one, unless no new points are to come.
    """
    sign = -1 if metric.goal == "maximize" else 1
    groups = [(group, [sign * value for value in _values(group)]) for group in _by_point(runs)]
    promising: list[tuple[int, float, FrozenTrial]] = []
    for group, values in groups:
        count = len(values)
        if 0 < count == len(group) < seeds_per_point and all(run.state == TrialState.COMPLETE for run in group):
            rivals = [fmean(each[:count]) for _, each in groups if len(each) >= count]
            mean = fmean(values)
            half = math.ceil(len(rivals) / 2) if no_more_points else len(rivals) // 2
            if sum(rival < mean for rival in rivals) < half:
                promising.append((-count, mean, group[0]))
    if not promising:
        return None
    count, _, run = min(promising, key=lambda each: each[:2])
    return Due(run, -count)


def as_complete(run: FrozenTrial, value: float) -> FrozenTrial:
    """Return a run as a trial that has ended with this value."""
    return create_trial(value=value, params=run.params, distributions=run.distributions, user_attrs=run.user_attrs)


def _by_point(runs: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    found: dict[str, list[FrozenTrial]] = {}
    for run in runs:
        found.setdefault(Point(run.user_attrs["point"]).configuration_key, []).append(run)
    return list(found.values())


def _values(runs: Sequence[FrozenTrial]) -> list[float]:
    """Return the finite values of the runs that have ended, those that were stopped early included."""
    ended = [run.value for run in runs if run.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    return [value for value in ended if value is not None and math.isfinite(value)]
