"""Effect sizes: a difference of means in standard deviations of a run, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy import optimize, special

from trainer.statistics.describe import LEVEL, std_of

_FAR = 1e4
"""t beyond which the noise of the means is nothing beside that of the spread. scipy's function ends at some 5e4."""


@dataclass(frozen=True)
class Effect:
    """Hedges' g with its 95 % interval."""

    g: float
    low: float
    high: float


def effect(a: Sequence[float], b: Sequence[float]) -> Effect | None:
    """Return the standardized difference a - b.

    None for fewer than two values of one, if neither varies, and if it is beyond all numbers.

    The standard deviation is pooled over both. g is Cohen's d times the correction for small samples, gamma(f / 2) /
    (sqrt(f / 2) gamma((f - 1) / 2)) with f degrees of freedom (Hedges 1981). The interval inverts the noncentral
    t-distribution (Steiger and Fouladi 1997), so it is exact for normal runs of equal spread.
    """
    na, nb = len(a), len(b)
    if min(na, nb) < 2:
        return None
    df = na + nb - 2
    std = math.sqrt(((na - 1) * std_of(a) ** 2 + (nb - 1) * std_of(b) ** 2) / df)
    unit = math.sqrt(1 / na + 1 / nb)
    d = (fmean(a) - fmean(b)) / std if std else math.inf
    if not math.isfinite(d / unit):
        return None
    correction = math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)
    low, high = (_noncentral(df, quantile, d / unit) * unit * correction for quantile in (1 - LEVEL / 2, LEVEL / 2))
    return Effect(d * correction, low, high)


def _noncentral(df: int, quantile: float, t: float) -> float:
    """Return the noncentrality with which t is this quantile. scipy's inverse has no negative ones.

    Far away t is the noncentrality over the standard deviation, whose square is chi-squared over `df`.
    """
    if abs(t) > _FAR:
        return t * math.sqrt(float(special.chdtri(df, quantile if t > 0 else 1 - quantile)) / df)
    bracket = t - 10 - abs(t), t + 10 + abs(t)
    return optimize.root_scalar(lambda shift: _below(t, df, shift) - quantile, bracket=bracket, method="brentq").root


def _below(t: float, df: int, shift: float) -> float:
    """Return P(T <= t) of a noncentral t. By symmetry, scipy is asked for shifts of at least 0 only."""
    if shift < 0:
        return 1 - _below(-t, df, -shift)
    below = float(special.nctdtr(df, shift, t))
    return 0.0 if math.isnan(below) else below  # where t is far below the shift
