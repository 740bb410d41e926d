"""Two samples compared seed by seed: the ratio of positive quantities, the difference of others.

Runs of one seed have the same order of the data, so their quantities rise and fall together, and their quotient varies
less than either. Widths, betas and Lipschitz estimates are positive and vary by factors: a ratio is the natural unit,
and its logarithm is what is averaged. A quantity that may be 0 or below, as a cosine, is compared by differences.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from scipy import special

from trainer.statistics.comparisons import Comparison, Finding
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL, Values, quantile, std_of
from trainer.statistics.differences import ROUNDING, Split, welch
from trainer.statistics.power import POWER

Scale = Literal["ratio", "difference"]
LARGEST = 700.0
"""Size of the logarithm of a ratio up to which it is a number: a float holds no ratio above e^709."""


@dataclass(frozen=True)
class Contrast:
    """A sample over (or minus) a reference: the ratio of geometric means, or the difference of means."""

    scale: Scale
    estimate: float
    low: float | None  # 95 % t-interval for all comparisons at once; None for one seed, where nothing varies,
    # and where an end is beyond LARGEST: two log ratios that are 10 apart, and 12 comparisons
    high: float | None
    p: float | None  # two-sided, times the number of comparisons
    n: int  # seeds that both have if paired, or else runs of the smaller sample
    paired: bool
    std: float | None  # over seeds, of the log ratios or the differences; None if unpaired
    finding: Finding

    @property
    def log(self) -> tuple[float, float | None, float | None]:
        """Return (estimate, low, high) on the scale of the test: logarithms of a ratio."""
        if self.scale == "difference":
            return self.estimate, self.low, self.high
        return math.log(self.estimate), _log(self.low), _log(self.high)


def scale_of(samples: Mapping[str, Values], scale: Scale) -> Scale:
    """Return the scale on which samples can be compared.

    A ratio needs every value above 0, and the largest over the smallest to be a number that a float holds.
    """
    values = [value for sample in samples.values() for value in sample.values()]
    if scale == "difference" or (values and min(values) <= 0):
        return "difference"
    return "difference" if values and math.log(max(values)) - math.log(min(values)) > LARGEST else "ratio"


def scaled(sample: Values, scale: Scale) -> dict[int, float]:
    """Return the values on the scale of the test: logarithms for ratios."""
    return {seed: math.log(value) if scale == "ratio" else value for seed, value in sample.items()}


def seedwise(a: Values, b: Values, scale: Scale, *, comparisons: int = 1, pairs: bool = True) -> Contrast:
    """Compare a with b over the seeds that both have, by the t-test of their log ratios or differences.

    If they share fewer than three seeds, and not all of them, or if seeds make no `pairs`, it is Welch's test of the
    (logarithms of the) values.
    Level and p are corrected for the number of comparisons after Bonferroni. A ratio becomes a difference where
    `scale_of` says so. Raises ValueError for a sample without values.
    """
    if not a or not b:
        raise ValueError("a comparison needs values of both")
    scale = scale_of({"a": a, "b": b}, scale)
    ours, theirs = scaled(a, scale), scaled(b, scale)
    shared = sorted(ours.keys() & theirs.keys())
    if pairs and (len(shared) >= FEWEST_FOR_A_VERDICT or ours.keys() == theirs.keys()):
        size = max(abs(sample[seed]) for sample in (ours, theirs) for seed in shared)
        rounding = ROUNDING * (max(1.0, size) if scale == "ratio" else size)  # that of a logarithm is of 1, near 0 too
        return _paired([ours[seed] - theirs[seed] for seed in shared], scale, comparisons, rounding)
    return _unpaired(ours, theirs, scale, comparisons)


def of_comparison(found: Comparison, n: int, scale: Scale) -> Contrast:
    """Return a comparison on the scale of the test that was not made seed by seed, n runs of the smaller sample."""
    low, high = found.low, found.high
    if low is not None and high is not None:
        low, high = _ends(low, high, scale)
    estimate = _back(found.difference, scale)
    return Contrast(scale, estimate, low, high, found.p, n, paired=False, std=None, finding=found.finding)


def _paired(moves: list[float], scale: Scale, comparisons: int, rounding: float) -> Contrast:
    """Compare by the differences of pairs. A spread up to `rounding` is none: quotients differ in their last bit."""
    n, mean = len(moves), fmean(moves)
    std = std_of(moves) if n > 1 else None
    if std is None or std <= rounding:
        same = n > 1 and not any(moves)
        finding: Split = "identical" if same else "undecided"
        return Contrast(scale, _back(mean, scale), None, None, 1.0 if same else None, n, True, std, finding)
    error = std / math.sqrt(n)
    p = min(1.0, comparisons * 2 * float(special.stdtr(n - 1, -abs(mean) / error)))
    half = quantile(n - 1, comparisons) * error
    bounds = _bounds(mean, half, scale)
    return Contrast(scale, _back(mean, scale), *bounds, p, n, True, std, _finding(mean, p, n))


def _unpaired(a: Values, b: Values, scale: Scale, comparisons: int) -> Contrast:
    own, n = welch([*a.values()], [*b.values()]), min(len(a), len(b))
    if own.p is None or own.df is None:
        same = own.p == 1.0
        finding: Split = "identical" if same else "undecided"
        return Contrast(scale, _back(own.mean, scale), None, None, own.p, n, False, None, finding)
    error = math.sqrt(std_of([*a.values()]) ** 2 / len(a) + std_of([*b.values()]) ** 2 / len(b))
    half, p = quantile(own.df, comparisons) * error, min(1.0, comparisons * own.p)
    bounds = _bounds(own.mean, half, scale)
    return Contrast(scale, _back(own.mean, scale), *bounds, p, n, False, None, _finding(own.mean, p, n))


def smallest_found(std: float, n: int, *, comparisons: int = 1) -> float | None:
    """Return the true mean of log ratios or differences that n pairs show with 80 % power.

    It is that of the t-test of n pairs with this standard deviation, by the noncentral t-distribution. None below three
    pairs, which have no verdict, and without spread.
    """
    if n < FEWEST_FOR_A_VERDICT or not std:
        return None
    shift = special.nctdtrinc(n - 1, 1 - POWER, quantile(n - 1, comparisons))
    return float(shift) * std / math.sqrt(n)


def factor(log_ratio: float) -> str:
    """Return the ratio of this logarithm in three digits."""
    return "more than a number holds" if log_ratio > LARGEST else f"{math.exp(log_ratio):.3g}"


def _finding(mean: float, p: float, n: int) -> Split:
    if n < FEWEST_FOR_A_VERDICT:
        return "undecided"
    return "not significant" if p >= LEVEL else "higher" if mean > 0 else "lower"


def _back(value: float, scale: Scale) -> float:
    return math.exp(value) if scale == "ratio" else value


def _bounds(mean: float, half: float, scale: Scale) -> tuple[float | None, float | None]:
    """Return the interval, or none if an end of it is a ratio that no float holds."""
    return _ends(mean - half, mean + half, scale)


def _ends(low: float, high: float, scale: Scale) -> tuple[float | None, float | None]:
    if scale == "ratio" and max(-low, high) > LARGEST:
        return None, None
    return _back(low, scale), _back(high, scale)


def _log(value: float | None) -> float | None:
    return None if value is None else math.log(value)
