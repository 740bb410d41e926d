"""One configuration of a table compared with each other one: the best (Hsu 1981) or a control (Dunnett 1955).

A difference is significant if two tests say so. The first takes one pooled variance for the table and corrects for the
number of comparisons. The second, Welch's, takes each pair's own variances. The first alone is wrong in up to 21 % of
tables whose spreads differ, the second alone is not corrected. docs/simulations.md has the simulations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL, Values, quantile, std_of
from trainer.statistics.differences import Split, identical, welch


@dataclass(frozen=True)
class Comparison:
    """A configuration, minus the one that all of a table are compared with."""

    name: str
    difference: float
    low: float | None  # 95 % for all comparisons at once; with the best: of the direction that was seen only
    high: float | None
    p: float | None  # the larger one of the two tests'
    finding: Split


@dataclass(frozen=True)
class Pooled:
    """Variance of a table's configurations, taken to be one: sum (n - 1) s^2 / sum (n - 1)."""

    variance: float
    df: int


def pooled(samples: Mapping[str, Values]) -> Pooled | None:
    """Return the pooled variance. Identical results are one observation. None if no sample has two values."""
    different = {tuple(sorted(sample.items())) for sample in samples.values() if len(sample) > 1}
    rows = [[value for _, value in sample] for sample in sorted(different)]
    df = sum(len(row) - 1 for row in rows)
    return Pooled(math.fsum((len(row) - 1) * std_of(row) ** 2 for row in rows) / df, df) if df else None


def with_best(samples: Mapping[str, Values], *, highest: bool = True) -> list[Comparison]:
    """Compare the best mean with each other one: multiple comparisons with the best (Hsu 1981), and Welch's test.

    With two configurations this is Welch's test. Samples without values are left out.
    """
    filled = {name: sample for name, sample in samples.items() if sample}
    if not filled:
        return []
    best = (max if highest else min)(filled, key=lambda name: _mean(filled[name]))
    return _compared(filled, best, two_sided=False)


def with_control(samples: Mapping[str, Values], control: str) -> list[Comparison]:
    """Compare each configuration with a control that was named before the runs: Dunnett (1955), and Welch's test.

    Samples without values are left out.
    """
    filled = {name: sample for name, sample in samples.items() if sample}
    return _compared(filled, control, two_sided=True) if control in filled else []


def _compared(filled: Mapping[str, Values], reference: str, *, two_sided: bool) -> list[Comparison]:
    """Return the comparisons in the order of the samples."""
    ours = filled[reference]
    others = {name: sample for name, sample in filled.items() if name != reference}
    testable = [name for name, sample in others.items() if can_be_tested(sample, ours)]
    shares = tuple(math.sqrt(len(filled[name]) / (len(filled[name]) + len(ours))) for name in testable)
    noise = pooled({name: sample for name, sample in filled.items() if len(sample) >= FEWEST_FOR_A_VERDICT})
    found: list[Comparison] = []
    for name, sample in others.items():
        difference = _mean(sample) - _mean(ours)
        if identical(sample, ours):
            found.append(Comparison(name, difference, None, None, 1.0, "identical"))
        elif name not in testable or noise is None:
            found.append(Comparison(name, difference, None, None, None, "undecided"))
        else:
            found.append(_tested(name, sample, ours, noise, shares, two_sided))
    return found


def can_be_tested(sample: Values, ours: Values) -> bool:
    """Return whether two samples can be compared by a test: three runs each, not identical, and one of them varies."""
    if min(len(sample), len(ours)) < FEWEST_FOR_A_VERDICT or identical(sample, ours):
        return False
    return len(set(sample.values())) > 1 or len(set(ours.values())) > 1


def _tested(
    name: str, sample: Values, ours: Values, noise: Pooled, shares: tuple[float, ...], two_sided: bool
) -> Comparison:
    own = welch(list(sample.values()), list(ours.values()))
    assert own.p is not None and own.low is not None and own.high is not None  # one of the two varies
    p, half = own.p, (own.high - own.low) / 2
    if len(shares) > 1:  # with two configurations there is nothing to correct for, and little to pool
        error = math.sqrt(noise.variance * (1 / len(sample) + 1 / len(ours)))
        p = max(p, dunnett_p(abs(own.mean) / error, shares, noise.df, two_sided=two_sided))
        half = max(half, dunnett_quantile(shares, noise.df, two_sided=two_sided) * error)
    finding: Split = "not significant" if p >= LEVEL else "higher" if own.mean > 0 else "lower"
    low, high = own.mean - half, own.mean + half
    if not two_sided and len(shares) > 1:
        low, high = (None, high) if own.mean < 0 else (low, None)
    return Comparison(name, own.mean, low, high, p, finding)


def top_group(samples: Mapping[str, Values], comparisons: Sequence[Comparison], *, highest: bool = True) -> list[str]:
    """Return the configuration with the best mean and all that are not significantly worse, best first."""
    means = {name: _mean(sample) for name, sample in samples.items() if sample}
    apart = {each.name for each in comparisons if each.finding in ("higher", "lower")}
    return sorted((name for name in means if name not in apart), key=lambda name: means[name], reverse=highest)


# The distribution of the largest of several t-statistics that share a variance and a mean. scipy.stats.dunnett has it
# too, but takes only whole samples, draws random numbers, and needs a second for a table.

_Z, _WEIGHT = np.polynomial.hermite_e.hermegauss(64)
_U, _SHARE = np.polynomial.legendre.leggauss(64)


def dunnett_p(t: float, shares: Sequence[float], df: int, *, two_sided: bool) -> float:
    """Return the probability that the largest of the statistics, or of their sizes if two-sided, exceeds t.

    `shares` has sqrt(n / (n + n_reference)) for each comparison: two of them correlate by the product of theirs.
    """
    return max(0.0, 1 - _below(t, tuple(shares), df, two_sided))


@cache
def dunnett_quantile(shares: tuple[float, ...], df: int, *, two_sided: bool) -> float:
    """Return the value that the largest statistic exceeds in 5 % of tables of equal configurations."""
    low, high = 0.0, 2 * quantile(df)
    while _below(high, shares, df, two_sided) < 1 - LEVEL:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, shares, df, two_sided) < 1 - LEVEL else (low, middle)
    return high


def _below(t: float, shares: tuple[float, ...], df: int, two_sided: bool) -> float:
    """Integrate over the reference's mean (Gauss-Hermite) and the pooled deviation (Gauss-Legendre in quantiles)."""
    z, s = _Z[:, None], _deviations(df)
    product: NDArray[np.float64] = np.ones((len(_Z), len(s)))
    for share in set(shares):
        rest = math.sqrt(1 - share**2)
        inside = special.ndtr((share * z + t * s) / rest)
        if two_sided:
            inside = inside - special.ndtr((share * z - t * s) / rest)
        product *= inside ** shares.count(share)
    return float(_WEIGHT @ product @ _SHARE / (2 * _WEIGHT.sum()))


@cache
def _deviations(df: int) -> NDArray[np.float64]:
    return np.sqrt(special.chdtri(df, (1 - _U) / 2) / df)


def _mean(sample: Values) -> float:
    return fmean(sample.values())
