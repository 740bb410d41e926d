"""One sample: mean, spread, intervals, and the verdict on a published figure.

A value belongs to one run. A sample belongs to one configuration, with one value per seed. All tests are two-sided at
the 5 % level.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

LEVEL = 0.05
"""Significance level of each test, and of each table."""
FEWEST_FOR_A_VERDICT = 3
"""Values that a sample needs before anything is concluded from its spread."""

Values = Mapping[int, float]
"""A value of each run of a configuration, by seed."""
Verdict = Literal["consistent", "higher", "lower", "undecided"]
"""Verdict on our runs, compared with a published figure. higher: ours are. undecided: fewer than three runs, or runs
that do not vary."""


@dataclass(frozen=True)
class Sample:
    """n values with their mean, sample standard deviation (n - 1) and the 95 % t-interval of the mean."""

    n: int
    mean: float
    std: float | None  # None for one value
    low: float | None
    high: float | None


def describe(values: Sequence[float]) -> Sample | None:
    """Return the mean, spread and interval, or None for no values."""
    if not values:
        return None
    n, mean = len(values), fmean(values)
    if n < 2:
        return Sample(n, mean, None, None, None)
    std = std_of(values)
    half = quantile(n - 1) * std / math.sqrt(n)
    return Sample(n, mean, std, mean - half, mean + half)


def std_of(values: Sequence[float]) -> float:
    """Return the sample standard deviation, exactly 0 for equal values, where a rounded mean would give more."""
    return 0.0 if len(set(values)) == 1 else float(np.std(values, ddof=1))


@cache
def quantile(df: float, comparisons: int = 1) -> float:
    """Return the two-sided quantile of Student's t at 5 % for so many comparisons at once (Bonferroni)."""
    return float(special.stdtrit(df, 1 - LEVEL / 2 / comparisons))


def can_be_judged(values: Sequence[float]) -> bool:
    """Return whether a sample has a spread to judge by: at least three values, not all equal."""
    return len(values) >= FEWEST_FOR_A_VERDICT and len(set(values)) > 1


def p_above(border: float, values: Sequence[float]) -> float | None:
    """Return the one-sided p of Student's t test that the mean is above a border. None if the values do not vary."""
    if not can_be_judged(values):
        return None
    error = std_of(values) / math.sqrt(len(values))
    return float(special.stdtr(len(values) - 1, (border - fmean(values)) / error))


def prediction_half_width(std: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return half of the width of the 95 % prediction interval of one more value: t(n - 1) s sqrt(1 + 1/n)."""
    return quantile(n - 1) * np.asarray(std, dtype=float) * math.sqrt(1 + 1 / n)


def prediction_interval(values: Sequence[float], *, rounding: float = 0.0) -> tuple[float, float] | None:
    """Return the 95 % prediction interval of one more run, printed to within `rounding`. None if n < 2.

    The values are assumed to be normal with one mean and variance, and the published run to be one more of them.
    """
    if len(values) < 2:
        return None
    mean = fmean(values)
    half = float(prediction_half_width(std_of(values), len(values))) + rounding
    return mean - half, mean + half


def prediction_p(published: float, values: Sequence[float], *, rounding: float = 0.0) -> float | None:
    """Return the probability that one more run is as far from the mean as a published one. None if values do not vary.

    It is below 0.05 where the published figure is outside of `prediction_interval`.
    """
    if len(values) < 2 or std_of(values) == 0:
        return None
    distance = max(0.0, abs(published - fmean(values)) - rounding)
    error = std_of(values) * math.sqrt(1 + 1 / len(values))
    return float(2 * special.stdtr(len(values) - 1, -distance / error))


def prediction_of_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % prediction interval of the difference of two further single runs, one of each. None if n < 2.

    mean(a) - mean(b) +- t(df) sqrt(s_a^2 (1 + 1/n_a) + s_b^2 (1 + 1/n_b)), df after Satterthwaite.
    """
    if min(len(a), len(b)) < 2:
        return None
    shares = [std_of(each) ** 2 * (1 + 1 / len(each)) for each in (a, b)]
    mean, error = fmean(a) - fmean(b), sum(shares)
    if error == 0:
        return mean, mean
    df = 1 / sum((share / error) ** 2 / (len(each) - 1) for share, each in zip(shares, (a, b), strict=True))
    half = quantile(df) * math.sqrt(error)
    return mean - half, mean + half


def verdict(published: float, values: Sequence[float], *, rounding: float = 0.0, bound: bool = False) -> Verdict:
    """Return how our runs compare with a published single run. A figure on the border is consistent.

    `bound`: the figure is printed as a lower bound ("above 88%"). Then runs above it agree with it.
    """
    interval = prediction_interval(values, rounding=rounding)
    if interval is None or not can_be_judged(values):
        return "undecided"
    low, high = interval
    slack = 1e-9 * max(1.0, abs(published))  # 90.61 - 0.005 is not exact in binary
    if published < low - slack:
        return "consistent" if bound else "higher"
    return "lower" if published > high + slack else "consistent"


def rounding_of(decimals: int, *, about: float | None = None) -> float:
    """Return half a unit of the last printed decimal, or more for a figure that is printed as about so much.

    `about` is that figure. It is read to a unit of its second digit, as 100 is to 10 and 84.1 to 1, but never finer
    than a unit of the last printed decimal.
    """
    unit = 10.0**-decimals
    if about is None:
        return 0.5 * unit
    return max(unit, 10.0 ** (math.floor(math.log10(abs(about))) - 1)) if about else unit
