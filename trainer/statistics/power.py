"""Power of the comparisons with the best and with a control: in how many sweeps a difference is called significant.

It is simulated, because there is no closed form: the test is Hsu's or Dunnett's, and Welch's, together. Draws are of
normal runs and have a fixed seed, so a page says the same figure each time.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.statistics.comparisons import dunnett_quantile
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL

POWER = 0.80
MOST_SEEDS = 10_000
_MOST_DRAWN = 100  # runs of a configuration
_NUMBERS = 60_000  # drawn for a simulation: 30,000 sweeps of two configurations, 4,600 of thirteen


def power(means: Sequence[float], stds: Sequence[float], n: int) -> float:
    """Return the probability that the first of k configurations is significantly higher than each other one.

    Each has n normal runs with its true mean and standard deviation. Below three runs there is no verdict, so it is 0.
    """
    if n < FEWEST_FOR_A_VERDICT or len(means) < 2 or not any(stds):
        return 0.0
    draw, half = _draws(tuple(stds), n)
    leads = np.asarray(means[0]) - np.asarray(means[1:])
    return float(np.mean((leads > draw + half).all(1)))


def lead_needed(stds: Sequence[float], n: int) -> float | None:
    """Return the smallest lead over k - 1 equal others that is called significant in 80 % of sweeps of n runs each.

    None below three runs, for one configuration, and without spread.
    """
    if n < FEWEST_FOR_A_VERDICT or len(stds) < 2 or not any(stds):
        return None
    draw, half = _draws(tuple(stds), n)
    return float(np.quantile((draw + half).max(1), POWER))


def difference_needed(stds: Sequence[float], n: int) -> float | None:
    """Return the smallest true difference of a configuration from the control that is found in 80 % of sweeps.

    The first standard deviation is the control's. Whatever the others are, one of them is found so often. None below
    three runs, without another configuration, and without spread.
    """
    if n < FEWEST_FOR_A_VERDICT or len(stds) < 2 or not any(stds):
        return None
    draw, half = _draws(tuple(stds), n, two_sided=True)
    return float(np.quantile((draw + half)[:, 0], POWER))


@cache
def power_if_skewed(lead: float, stds: tuple[float, ...], n: int, *, from_control: bool = False) -> float | None:
    """Return the power at this lead if runs are not normal but exponential, to whichever side it is lower.

    Or that at this difference from the first configuration, the control. Exponential runs have a skewness of 2, more
    than seeds are known to have. None where `lead_needed` is, or above 100 runs, where means are normal anyway.
    """
    if n < FEWEST_FOR_A_VERDICT or n > _MOST_DRAWN or len(stds) < 2 or not any(stds):
        return None
    random = np.random.default_rng(0)
    noise = random.exponential(size=(max(500, _NUMBERS // len(stds)), len(stds), n)) - 1
    spread = np.asarray(stds)
    mean, variance = noise.mean(-1) * spread, noise.var(-1, ddof=1) * spread**2
    half = just_significant(variance, n, two_sided=from_control)
    ahead = mean[:, :1] - mean[:, 1:]
    if from_control:
        return min(float(np.mean(lead + side * ahead[:, 0] > half[:, 0])) for side in (-1, 1))
    return min(float(np.mean((lead + side * ahead > half).all(1))) for side in (-1, 1))


@cache
def seeds_needed(means: tuple[float, ...], stds: tuple[float, ...]) -> int | None:
    """Return the smallest number of runs each with which the first is found best in 80 % of sweeps.

    None if its mean is not the highest, without spread, or if more than 10,000 would be needed.
    """
    return smallest_n(lambda n: power(means, stds, n) >= POWER)


def smallest_n(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number of runs that is enough, where more are enough too. None above 10,000."""
    low, high = FEWEST_FOR_A_VERDICT - 1, FEWEST_FOR_A_VERDICT
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _draws(
    stds: tuple[float, ...], n: int, *, two_sided: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (noise of other minus first, the difference that is just significant), each [draws, k - 1].

    Means and variances are drawn, not runs, so the time does not depend on n.
    """
    k, random = len(stds), np.random.default_rng(0)
    count = max(500, _NUMBERS // k)
    spread = np.asarray(stds)
    mean = random.normal(size=(count, k)) * spread / math.sqrt(n)
    variance = random.chisquare(n - 1, size=(count, k)) / (n - 1) * spread**2
    return mean[:, 1:] - mean[:, :1], just_significant(variance, n, two_sided=two_sided)


def just_significant(variance: NDArray[np.float64], n: int, *, two_sided: bool = False) -> NDArray[np.float64]:
    """Return the difference from the first of k configurations that is just significant, [..., k - 1].

    `variance` [..., k] has the sample variances of n runs each. The rule is that of `comparisons.with_best`, or, if
    two-sided, of `comparisons.with_control`.
    """
    first, others = variance[..., :1], variance[..., 1:]
    error = np.maximum(first + others, np.finfo(float).tiny)
    df = (n - 1) * error**2 / (first**2 + others**2 + np.finfo(float).tiny)
    half = special.stdtrit(np.clip(df, n - 1, 2 * n - 2), 1 - LEVEL / 2) * np.sqrt(error / n)
    k = variance.shape[-1]
    if k == 2:
        return half
    critical = dunnett_quantile((math.sqrt(0.5),) * (k - 1), k * (n - 1), two_sided=two_sided)
    return np.maximum(half, critical * np.sqrt(2 / n * variance.mean(-1, keepdims=True)))
