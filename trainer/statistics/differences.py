"""Two configurations compared: Welch's test, seed by seed, and every pair of a table with Holm's correction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL, quantile, std_of

Split = Literal["higher", "lower", "not significant", "identical", "undecided"]
"""Result for the first of a pair, compared with the second. undecided: one of them has fewer than three runs, or
neither varies, so that there is no noise to compare the difference with."""


@dataclass(frozen=True)
class Difference:
    """Difference of two means, a - b, with Welch's test for unequal variances and unequal n."""

    mean: float
    low: float | None  # 95 % interval, not corrected for the other pairs of the table
    high: float | None
    df: float | None
    p: float | None  # None if a sample has one value, or if neither varies and the means differ


@dataclass(frozen=True)
class Pair:
    """Two configurations of a table, compared."""

    a: str
    b: str
    difference: Difference
    p_holm: float | None  # corrected for all pairs of the table
    split: Split
    paired: Difference | None  # over the seeds that both have, None for fewer than three


ROUNDING = 1e-12
"""Spread of differences, as a share of the largest value, below which they do not vary: 98.3 - 98.2 and 98.2 - 98.1
differ in their last bits."""


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Return a - b with Welch's test (1947). If neither sample varies, p is 1 for equal means and None for others."""
    return contrast((1, a), (-1, b))


def contrast(*terms: tuple[int, Sequence[float]]) -> Difference:
    """Return the sum of weight times mean over (weight, sample), tested against 0 as Welch's test does (1947).

    The degrees of freedom are Satterthwaite's. With four samples of weights 1, -1, -1 and 1 it is the difference of two
    differences. p is as in `Difference`.
    """
    mean = math.fsum(weight * math.fsum(sample) / len(sample) for weight, sample in terms)
    if min(len(sample) for _, sample in terms) < 2:
        return Difference(mean, None, None, None, None)
    shares = [weight**2 * std_of(sample) ** 2 / len(sample) for weight, sample in terms]
    error = math.fsum(shares)
    if error == 0:
        return Difference(mean, None, None, None, None if mean else 1.0)
    df = 1 / sum((share / error) ** 2 / (len(sample) - 1) for share, (_, sample) in zip(shares, terms, strict=True))
    half = quantile(df) * math.sqrt(error)
    p = float(2 * special.stdtr(df, -abs(mean) / math.sqrt(error)))
    return Difference(mean, mean - half, mean + half, df, p)


def over_both(difference: Difference, image_error: float) -> tuple[float, float] | None:
    """Return the 95% interval of a difference over new seeds and new test images together, None if there is none.

    `image_error` is its standard error from the choice of the images. The two are independent, so variances add.
    """
    if difference.low is None or difference.high is None or difference.df is None:
        return None
    t = quantile(difference.df)
    half = math.hypot((difference.high - difference.low) / 2, t * image_error)
    return difference.mean - half, difference.mean + half


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """Return a - b over the seeds that both have, with the paired t-test. None for fewer than three seeds.

    p is None if the differences do not vary, but for differences that are all 0.
    """
    shared = sorted(a.keys() & b.keys())
    differences = [a[seed] - b[seed] for seed in shared]
    if len(differences) < FEWEST_FOR_A_VERDICT:
        return None
    n, mean, std = len(differences), fmean(differences), std_of(differences)
    if std <= ROUNDING * max(abs(sample[seed]) for sample in (a, b) for seed in shared):
        return Difference(mean, None, None, None, 1.0 if not any(differences) else None)
    half = quantile(n - 1) * std / math.sqrt(n)
    p = float(2 * special.stdtr(n - 1, -abs(mean) * math.sqrt(n) / std))
    return Difference(mean, mean - half, mean + half, n - 1, p)


def holm(p: ArrayLike, *, of: int | None = None) -> NDArray[np.float64]:
    """Return p-values adjusted along the last axis (Holm 1979), so that 5 % is the family-wise error of a table.

    `of` is the number of comparisons if others were possible than these: a few that were picked after the runs.
    """
    p = np.asarray(p, dtype=float)
    m = p.shape[-1]
    order = np.argsort(p, axis=-1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * ((of or m) - np.arange(m)), axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), -1)
    return adjusted


def holm_by_name(p: Mapping[str, float], *, of: int | None = None) -> dict[str, float]:
    return dict(zip(p, holm([*p.values()], of=of).tolist(), strict=True))


def all_pairs(samples: Mapping[str, Mapping[int, float]]) -> list[Pair]:
    """Return every pair of a table's configurations. Samples are values by seed. Empty ones are left out."""
    filled = {name: sample for name, sample in samples.items() if sample}
    pairs = list(combinations(filled, 2))
    differences = [welch(list(filled[a].values()), list(filled[b].values())) for a, b in pairs]
    adjusted = iter(holm([difference.p for difference in differences if difference.p is not None]).tolist())
    return [
        Pair(
            a,
            b,
            difference,
            p_holm := next(adjusted) if difference.p is not None else None,
            _split(difference, p_holm, filled[a], filled[b]),
            paired(filled[a], filled[b]),
        )
        for (a, b), difference in zip(pairs, differences, strict=True)
    ]


def identical(a: Mapping[int, float], b: Mapping[int, float]) -> bool:
    """Return whether two samples of at least two values each are equal seed by seed, or all their values are equal."""
    if min(len(a), len(b)) < 2:
        return False
    return len({*a.values(), *b.values()}) == 1 or (a.keys() == b.keys() and all(a[seed] == b[seed] for seed in a))


def _split(difference: Difference, p_holm: float | None, a: Mapping[int, float], b: Mapping[int, float]) -> Split:
    if identical(a, b):
        return "identical"
    if p_holm is None or min(len(a), len(b)) < FEWEST_FOR_A_VERDICT:
        return "undecided"
    if p_holm >= LEVEL:
        return "not significant"
    return "higher" if difference.mean > 0 else "lower"
