"""A whole table: the noise of the seed alone, and the order of its rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from trainer.statistics.comparisons import pooled
from trainer.statistics.describe import LEVEL, Values, std_of


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
    from scipy import stats  # takes seconds to load

    tau: Any = stats.kendalltau(published, reproduced)  # its default is variant b
    return Order(float(tau.statistic), float(tau.pvalue), len(published))


@dataclass(frozen=True)
class NoiseFloor:
    """Standard deviation from the seed alone, pooled over configurations, with its 95 % chi-square interval."""

    std: float
    low: float
    high: float
    df: int
    smallest: float  # standard deviation of a configuration, of those that vary
    largest: float
    p_equal: float | None  # Bartlett's test of equal spreads; None if fewer than two configurations vary

    @property
    def equal(self) -> bool:
        """Return whether one spread can stand for all configurations: Bartlett's test does not contradict it."""
        return self.p_equal is None or self.p_equal >= LEVEL


def noise_floor(samples: Mapping[str, Values]) -> NoiseFloor | None:
    """Return the pooled standard deviation sqrt(sum (n - 1) s^2 / sum (n - 1)). None if no sample has two values."""
    noise = pooled(samples)
    if noise is None:
        return None
    squares = noise.variance * noise.df
    low, high = (math.sqrt(squares / special.chdtri(noise.df, upper)) for upper in (LEVEL / 2, 1 - LEVEL / 2))
    different = {tuple(sorted(sample.items())) for sample in samples.values() if len(set(sample.values())) > 1}
    varying = [[value for _, value in sample] for sample in sorted(different)]
    spreads = [std_of(values) for values in varying] or [0.0]
    std = math.sqrt(noise.variance)
    return NoiseFloor(std, float(low), float(high), noise.df, min(spreads), max(spreads), _bartlett(varying))


def _bartlett(samples: Sequence[Sequence[float]]) -> float | None:
    """Return the p-value of Bartlett's test (1937) that normal samples have one variance."""
    if len(samples) < 2:
        return None
    from scipy import stats

    return float(stats.bartlett(*samples).pvalue)
