"""Statistics of a few seeds: intervals, verdicts, differences. docs/statistics.md has the formulas and sources.

A value belongs to one run. A sample belongs to one configuration, with one value per seed. All tests are two-sided at
the 5 % level.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

LEVEL = 0.05
"""Significance level of each test, and of each table of pairs."""
POWER = 0.80
MOST_SEEDS = 10_000
FEWEST_FOR_A_VERDICT = 3

Verdict = Literal["consistent", "higher", "lower", "undecided"]
"""Verdict on our runs, compared with a published figure. higher: ours are. undecided: fewer than three runs."""
Split = Literal["higher", "lower", "not significant", "identical", "undecided"]
"""Result for the first of a pair, compared with the second. undecided: one of them has fewer than two runs."""


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
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return Sample(n, mean, None, None, None)
    std = _std(values)
    half = _quantile(n - 1) * std / math.sqrt(n)
    return Sample(n, mean, std, mean - half, mean + half)


def prediction_half_width(std: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return half of the width of the 95 % prediction interval of one more value: t(n - 1) s sqrt(1 + 1/n)."""
    return _quantile(n - 1) * np.asarray(std, dtype=float) * math.sqrt(1 + 1 / n)


def prediction_interval(values: Sequence[float], *, rounding: float = 0.0) -> tuple[float, float] | None:
    """Return the 95 % prediction interval of one more run, printed to within `rounding`. None if n < 2.

    The values are assumed to be normal with one mean and variance, and the published run to be one more of them.
    """
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    half = float(prediction_half_width(_std(values), len(values))) + rounding
    return mean - half, mean + half


def verdict(published: float, values: Sequence[float], *, rounding: float = 0.0) -> Verdict:
    """Return how our runs compare with a published single run. A figure on the border is consistent."""
    interval = prediction_interval(values, rounding=rounding)
    if interval is None or len(values) < FEWEST_FOR_A_VERDICT:
        return "undecided"
    low, high = interval
    slack = 1e-9 * max(1.0, abs(published))  # 90.61 - 0.005 is not exact in binary
    if published < low - slack:
        return "higher"
    return "lower" if published > high + slack else "consistent"


def rounding_of(decimals: int, *, about: bool = False) -> float:
    """Return half a unit of the last printed decimal, or a whole unit for a figure printed as `about`."""
    return (1.0 if about else 0.5) * 10.0**-decimals


# Differences between configurations.


@dataclass(frozen=True)
class Difference:
    """Difference of two means, a - b, with Welch's test for unequal variances and unequal n."""

    mean: float
    low: float | None  # 95 % interval, not corrected for the other pairs of the table
    high: float | None
    df: float | None
    p: float | None  # None if a sample has one value


@dataclass(frozen=True)
class Pair:
    """Two configurations of a table, compared."""

    a: str
    b: str
    difference: Difference
    p_holm: float | None  # corrected for all pairs of the table
    split: Split
    paired: Difference | None  # over the seeds that both have, None for fewer than three
    seeds_needed: int | None  # per configuration, for 80 % power at this difference and spread, corrected


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Return a - b with Welch's test (1947). If neither sample varies, p is 1 for equal means and 0 for others."""
    mean = math.fsum(a) / len(a) - math.fsum(b) / len(b)
    if min(len(a), len(b)) < 2:
        return Difference(mean, None, None, None, None)
    var_a, var_b = _std(a) ** 2, _std(b) ** 2
    p, df = welch_p(mean, var_a, len(a), var_b, len(b))
    half = _quantile(float(df)) * math.sqrt(var_a / len(a) + var_b / len(b))
    return Difference(mean, mean - half, mean + half, float(df), float(p))


def welch_p(
    difference: ArrayLike, var_a: ArrayLike, n_a: int, var_b: ArrayLike, n_b: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (p, degrees of freedom) from differences of means and sample variances, elementwise."""
    diff, share_a, share_b = (np.asarray(x, dtype=float) for x in (difference, var_a, var_b))
    share_a, share_b = share_a / n_a, share_b / n_b
    error = share_a + share_b
    varies = error > 0
    safe = np.where(varies, error, 1.0)
    # Welch-Satterthwaite with variances as shares of one, so that tiny ones do not underflow when squared.
    df = np.where(
        varies, 1 / ((share_a / safe) ** 2 / (n_a - 1) + (share_b / safe) ** 2 / (n_b - 1) + ~varies), n_a + n_b - 2
    )
    p = 2 * special.stdtr(df, -np.abs(diff) / np.sqrt(safe))
    return np.where(varies, p, np.where(diff == 0, 1.0, 0.0)), df


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """Return a - b over the seeds that both have, with the paired t-test. None for fewer than three seeds."""
    differences = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    if len(differences) < FEWEST_FOR_A_VERDICT:
        return None
    n, mean, std = len(differences), math.fsum(differences) / len(differences), _std(differences)
    half = _quantile(n - 1) * std / math.sqrt(n)
    p = float(2 * special.stdtr(n - 1, -abs(mean) * math.sqrt(n) / std)) if std else float(mean == 0)
    return Difference(mean, mean - half, mean + half, n - 1, p)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values adjusted along the last axis (Holm 1979), so that 5 % is the family-wise error of a table."""
    p = np.asarray(p, dtype=float)
    m = p.shape[-1]
    order = np.argsort(p, axis=-1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * (m - np.arange(m)), axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), -1)
    return adjusted


def all_pairs(samples: Mapping[str, Mapping[int, float]]) -> list[Pair]:
    """Return every pair of a table's configurations. Samples are values by seed. Empty ones are left out."""
    filled = {name: sample for name, sample in samples.items() if sample}
    pairs = list(combinations(filled, 2))
    differences = [welch(list(filled[a].values()), list(filled[b].values())) for a, b in pairs]
    tested = [difference.p for difference in differences if difference.p is not None]
    adjusted = iter(holm(tested).tolist())
    return [
        Pair(
            a,
            b,
            difference,
            p_holm := next(adjusted) if difference.p is not None else None,
            _split(difference, p_holm, filled[a], filled[b]),
            paired(filled[a], filled[b]),
            _seeds_for(difference, filled[a], filled[b], level=LEVEL / max(1, len(tested))),
        )
        for (a, b), difference in zip(pairs, differences, strict=True)
    ]


def _split(difference: Difference, p_holm: float | None, a: Mapping[int, float], b: Mapping[int, float]) -> Split:
    if p_holm is None:
        return "undecided"
    if len({*a.values(), *b.values()}) == 1 or (a.keys() == b.keys() and all(a[seed] == b[seed] for seed in a)):
        return "identical"
    if p_holm >= LEVEL:
        return "not significant"
    return "higher" if difference.mean > 0 else "lower"


def _seeds_for(difference: Difference, a: Mapping[int, float], b: Mapping[int, float], *, level: float) -> int | None:
    if difference.p is None:
        return None
    pooled = math.sqrt((_std(list(a.values())) ** 2 + _std(list(b.values())) ** 2) / 2)
    return seeds_needed(difference.mean, pooled, level)


def top_group(samples: Mapping[str, Mapping[int, float]], pairs: Sequence[Pair], *, highest: bool = True) -> list[str]:
    """Return the configuration with the best mean and all whose difference from it is not significant, best first."""
    means = {name: math.fsum(sample.values()) / len(sample) for name, sample in samples.items() if sample}
    if not means:
        return []
    best = (max if highest else min)(means, key=lambda name: means[name])
    apart = {
        pair.b if pair.a == best else pair.a
        for pair in pairs
        if best in (pair.a, pair.b) and pair.split in ("higher", "lower")
    }
    kept = [name for name in means if name not in apart]
    return sorted(kept, key=lambda name: means[name], reverse=highest)


@cache
def seeds_needed(difference: float, std: float, level: float = LEVEL) -> int | None:
    """Return the smallest n per group at which a two-sample t-test has 80 % power, by the noncentral t.

    In a table of m pairs `level` is 5 % / m: a difference significant there is significant after Holm's correction too,
    whatever the others are. None if the difference is zero, or if more than 10,000 seeds would be needed.
    """
    if difference == 0 or power(difference, std, MOST_SEEDS, level) < POWER:
        return None
    low, high = 1, MOST_SEEDS  # power rises with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, std, middle, level) >= POWER else (middle, high)
    return high


def power(difference: float, std: float, n: int, level: float = LEVEL) -> float:
    """Return the power of a two-sided two-sample t-test with n values per group and equal standard deviations.

    Source: Cohen 1988, section 2.3.
    """
    if std == 0:
        return float(difference != 0)
    away, df = abs(difference) / std * math.sqrt(n / 2), 2 * n - 2
    edge = float(special.stdtrit(df, 1 - level / 2))
    if away > 5 * edge + 8:  # misses have p < 1e-10, and scipy's noncentral t soon fails
        return 1.0
    wrong_side = special.nctdtr(df, away, -edge) if away < 3 else 0.0  # for larger values below 1e-6 and soon NaN
    return float(1 - special.nctdtr(df, away, edge) + wrong_side)


def prediction_of_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % prediction interval of the difference of two further single runs, one of each. None if n < 2.

    mean(a) - mean(b) +- t(df) sqrt(s_a^2 (1 + 1/n_a) + s_b^2 (1 + 1/n_b)), df after Satterthwaite.
    """
    if min(len(a), len(b)) < 2:
        return None
    shares = [_std(each) ** 2 * (1 + 1 / len(each)) for each in (a, b)]
    mean, error = math.fsum(a) / len(a) - math.fsum(b) / len(b), sum(shares)
    if error == 0:
        return mean, mean
    df = 1 / sum((share / error) ** 2 / (len(each) - 1) for share, each in zip(shares, (a, b), strict=True))
    half = _quantile(df) * math.sqrt(error)
    return mean - half, mean + half


# A whole table.


@dataclass(frozen=True)
class Order:
    """Kendall's tau-b between the published and the reproduced order of n rows."""

    tau: float
    p: float  # exact without ties
    n: int


def agreement(published: Sequence[float], reproduced: Sequence[float]) -> Order | None:
    """Return Kendall's tau-b. None for fewer than two rows, or if all values of one side are tied."""
    if len(published) < 2 or len(set(published)) == 1 or len(set(reproduced)) == 1:
        return None
    from scipy import stats  # takes seconds to load, and nothing else needs it

    tau: Any = stats.kendalltau(published, reproduced)  # its default is variant b
    return Order(float(tau.statistic), float(tau.pvalue), len(published))


@dataclass(frozen=True)
class NoiseFloor:
    """Standard deviation from the seed alone, pooled over configurations, with its 95 % chi-square interval."""

    std: float
    low: float
    high: float
    df: int

    def resolves(self, n: int, *, tests: int = 1) -> float:
        """Return the smallest difference of two configurations that n > 1 seeds each detect with 80 % power.

        The level is 5 % / `tests`, the number of pairs in the table. This is Bonferroni's bound: a difference that is
        significant there is significant after Holm's correction too.
        """
        level = LEVEL / tests
        low, high = 0.0, 8.0  # standard deviations; two seeds per group need 5.9 of them for one test
        while power(high, 1.0, n, level) < POWER:
            high *= 2
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if power(middle, 1.0, n, level) >= POWER else (middle, high)
        return high * self.std


def noise_floor(samples: Sequence[Sequence[float]]) -> NoiseFloor | None:
    """Return the pooled standard deviation sqrt(sum (n - 1) s^2 / sum (n - 1)). None if no sample has two values."""
    df = sum(len(sample) - 1 for sample in samples if len(sample) > 1)
    if df == 0:
        return None
    squares = math.fsum((len(sample) - 1) * _std(sample) ** 2 for sample in samples if len(sample) > 1)
    low, high = (math.sqrt(squares / special.chdtri(df, upper)) for upper in (LEVEL / 2, 1 - LEVEL / 2))
    return NoiseFloor(math.sqrt(squares / df), float(low), float(high), df)


def _std(values: Sequence[float]) -> float:
    """Return the sample standard deviation, exactly 0 for equal values, where a rounded mean would give more."""
    return 0.0 if len(set(values)) == 1 else float(np.std(values, ddof=1))


@cache
def _quantile(df: float) -> float:
    """Return the two-sided 95 % quantile of Student's t."""
    return float(special.stdtrit(df, 1 - LEVEL / 2))
