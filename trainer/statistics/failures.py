"""Failure as an outcome of a run: which runs are at chance, the share that failed, and samples with two humps."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from trainer.statistics.describe import LEVEL
from trainer.statistics.differences import ROUNDING, holm_by_name

CHANCE_LEVEL = 0.001
"""Level of the test whether an accuracy is above chance."""
LEARNED = 2
"""Times chance that the best run of a table must reach before a run at chance is called failed."""


def learned(accuracy: float, *, classes: int) -> bool:
    """Return whether an accuracy, a fraction, shows that a network can learn: twice chance, or half of the way from
    chance to 1 where that is nearer, with two classes."""
    return accuracy * classes >= min(LEARNED, (1 + classes) / 2)


_HUMPS_LEVEL = 0.01
_FEWEST_FOR_HUMPS = 4


@dataclass(frozen=True)
class Failures:
    """Runs of a configuration that failed, of those that ended."""

    name: str
    failed: int
    n: int
    low: float  # 95 % interval of the share (Clopper & Pearson 1934)
    high: float
    against: (
        str  # what it is compared with: the control, or the configuration of the smallest share; empty for that one
    )
    p: float | None  # of the exact test, after Holm; None for what the others are compared with


def at_chance(accuracy: float, *, images: int, classes: int) -> bool:
    """Return whether a test accuracy, a fraction, is not significantly above 1 / classes.

    The test is the one-sided exact binomial one at 0.1 %. Of 10,000 images in ten classes, 1,094 right ones are at
    chance and 1,095 are not.
    """
    right = round(accuracy * images)
    p = 1.0 if right == 0 else float(special.bdtrc(right - 1, images, 1 / classes))
    return p >= CHANCE_LEVEL


def failures(counts: Mapping[str, tuple[int, int]], controls: Mapping[str, str] | None = None) -> list[Failures]:
    """Return the share of failed runs of each configuration from (failed, ended), without those of no run.

    Each is compared by Boschloo's exact test (1970), which is never weaker than Fisher's. `controls` has, by name, what
    each is compared with, if that was named before the runs: p is after Holm for all with one control. Else it is the
    one of the smallest share. The runs have picked it among all pairs, so p is after Holm for all of them.
    """
    ended = {name: (failed, n) for name, (failed, n) in counts.items() if n}
    if not ended:
        return []
    if controls:
        against = {name: control for name, control in controls.items() if {name, control} <= ended.keys()}
    else:
        smallest = min(ended, key=lambda name: (ended[name][0] / ended[name][1], -ended[name][1]))
        against = dict.fromkeys(ended, smallest)
    against = {name: other for name, other in against.items() if name != other}
    pairs = None if controls else math.comb(len(ended), 2)
    corrected: dict[str, float] = {}
    for other in dict.fromkeys(against.values()):
        tests = {name: exact_p(ended[name], ended[other]) for name in against if against[name] == other}
        corrected |= holm_by_name(tests, of=pairs)
    found: list[Failures] = []
    for name, (failed, n) in ended.items():
        # The quantiles that scipy.stats.binomtest searches for, which takes seconds to load.
        low = float(special.betaincinv(failed, n - failed + 1, LEVEL / 2)) if failed else 0.0
        high = float(special.betaincinv(failed + 1, n - failed, 1 - LEVEL / 2)) if failed < n else 1.0
        found.append(Failures(name, failed, n, low, high, against.get(name, ""), corrected.get(name)))
    return found


def exact_p(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the p-value of Boschloo's exact test that two shares, (failed, ended) each, are one."""
    (a, n), (b, m) = sorted((one, other))  # the test is symmetric, and its results are remembered
    return _boschloo_p(a, n, b, m)


@cache
def _boschloo_p(a: int, n: int, b: int, m: int) -> float:
    if a / n == b / m:
        return 1.0
    from scipy import stats

    return min(1.0, float(stats.boschloo_exact([[a, b], [n - a, m - b]]).pvalue))


def resolution_of(values: Iterable[float]) -> float:
    """Return the grid that values may be rounded to, such as one test image: their smallest difference.

    It is at most 1 of whole numbers, and 0 of values without ties.
    """
    ordered = np.sort(np.asarray([*values], dtype=float))
    steps = np.diff(ordered)
    own = steps[steps > ROUNDING * np.abs(ordered[1:])]
    if len(own) == len(steps) or not len(own):
        return 0.0
    return min(float(own.min()), 1.0) if (ordered == ordered.round()).all() else float(own.min())


def two_humped(values: Mapping[int, float], *, resolution: float = 0.0) -> bool:
    """Return whether the largest gap between neighbours fills more of the range than in 99 % of normal samples.

    Fewer than four values cannot show it. The border is simulated with a fixed seed. It is that of numbers without
    ties, so of values that are rounded to a `resolution` the smallest share counts that they can have had before.
    """
    if len(values) < _FEWEST_FOR_HUMPS:
        return False
    ordered = np.sort(np.asarray([*values.values()]))
    spread = ordered[-1] - ordered[0]
    if spread <= ROUNDING * np.abs(ordered).max():
        return False
    return bool((np.diff(ordered).max() - resolution) / (spread + resolution) > _gap_border(len(values)))


def _gap_share(values: np.ndarray) -> np.ndarray:
    gaps = np.diff(np.sort(values, axis=-1), axis=-1)
    return gaps.max(-1) / gaps.sum(-1)


@cache
def _gap_border(n: int) -> float:
    draw = np.random.default_rng(0).normal(size=(max(2000, 200_000 // n), n))
    return float(np.quantile(_gap_share(draw), 1 - _HUMPS_LEVEL))
