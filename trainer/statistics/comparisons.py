"""One configuration of a table compared with each other one: the best (Hsu 1981) or a control (Dunnett 1955).

A difference is significant if two tests say so. The first takes one pooled variance for the table and corrects for the
number of comparisons. The second, Welch's, takes each pair's own variances. The first alone is wrong in up to 21 % of
tables whose spreads differ, the second alone is not corrected. docs/simulations.md has the simulations.

Which one is best is seen in the same runs. So a difference from it, as from a control, is not shown to be one: of equal
configurations the worst one of thirteen would be called lower than the best in a third of tables. What is shown is that
a configuration is not the best, because another one is at least as good.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL, Values, quantile, std_of
from trainer.statistics.differences import Split, identical, welch

Finding = Split | Literal["not the best"]
"""not the best: another one is at least as good. It is said of three and more configurations, in place of higher or
lower than the one that looks best."""


@dataclass(frozen=True)
class Comparison:
    """A configuration, minus the one that all of a table are compared with."""

    name: str
    difference: float
    low: float | None  # 95 % for all comparisons at once. With the best one of several they are Hsu's constrained ones:
    high: float | None  # of the difference from the best of all others, and 0 where it is not the best
    p: float | None  # the larger one of the two tests'
    finding: Finding


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
    tests = _Tests.of(filled, best, two_sided=False)
    found = _compared(filled, best, tests)
    return _not_the_best(found, filled, best, tests, highest=highest) if tests and tests.several else found


def with_control(samples: Mapping[str, Values], control: str) -> list[Comparison]:
    """Compare each configuration with a control that was named before the runs: Dunnett (1955), and Welch's test.

    Samples without values are left out.
    """
    filled = {name: sample for name, sample in samples.items() if sample}
    return _compared(filled, control, _Tests.of(filled, control, two_sided=True)) if control in filled else []


@dataclass(frozen=True)
class _Tests:
    """Both tests of a pair, with what they take from the table."""

    noise: Pooled
    shares: tuple[float, ...]  # sqrt(n / (n + n_reference)) of each that is compared
    two_sided: bool

    @classmethod
    def of(cls, filled: Mapping[str, Values], reference: str, *, two_sided: bool) -> "_Tests | None":
        """Return the tests of samples against one: the best of all if they are one-sided, or else a control.

        A control was named before the runs, so what cannot be tested needs no correction. The best was picked among
        all, also those of too few runs.
        """
        ours = filled[reference]
        others = [each for name, each in filled.items() if name != reference]
        compared = [each for each in others if (can_be_tested(each, ours) if two_sided else not identical(each, ours))]
        noise = pooled({name: sample for name, sample in filled.items() if len(sample) >= FEWEST_FOR_A_VERDICT})
        shares = tuple(math.sqrt(len(each) / (len(each) + len(ours))) for each in compared)
        return cls(noise, shares, two_sided) if noise else None

    @property
    def several(self) -> bool:
        """Return whether there is anything to correct for: with two configurations the test is Welch's alone."""
        return len(self.shares) > 1

    def p(self, a: Values, b: Values) -> float:
        own = welch([*a.values()], [*b.values()])
        assert own.p is not None  # one of the two varies
        if not self.several:
            return own.p
        return max(
            own.p, dunnett_p(abs(own.mean) / self._error(a, b), self.shares, self.noise.df, two_sided=self.two_sided)
        )

    def half(self, a: Values, b: Values) -> float:
        """Return half the width of the wider one of both intervals of a - b."""
        own = welch([*a.values()], [*b.values()])
        half = 0.0 if own.low is None or own.high is None else (own.high - own.low) / 2
        if not self.several:
            return half
        return max(half, dunnett_quantile(self.shares, self.noise.df, two_sided=self.two_sided) * self._error(a, b))

    def _error(self, a: Values, b: Values) -> float:
        return math.sqrt(self.noise.variance * (1 / len(a) + 1 / len(b)))


def _compared(filled: Mapping[str, Values], reference: str, tests: _Tests | None) -> list[Comparison]:
    """Return the comparisons in the order of the samples."""
    ours = filled[reference]
    found: list[Comparison] = []
    for name, sample in filled.items():
        difference = _mean(sample) - _mean(ours)
        if name == reference:
            continue
        if identical(sample, ours):
            found.append(Comparison(name, difference, None, None, 1.0, "identical"))
        elif tests is None or not can_be_tested(sample, ours):
            found.append(Comparison(name, difference, None, None, None, "undecided"))
        else:
            mean = welch([*sample.values()], [*ours.values()]).mean
            p, half = tests.p(sample, ours), tests.half(sample, ours)
            finding: Split = "not significant" if p >= LEVEL else "higher" if mean > 0 else "lower"
            found.append(Comparison(name, mean, mean - half, mean + half, p, finding))
    return found


def _not_the_best(
    found: Sequence[Comparison], filled: Mapping[str, Values], best: str, tests: _Tests, *, highest: bool
) -> list[Comparison]:
    """Return the comparisons with what they show, where the best one was seen in the runs (Hsu 1984).

    The bounds are of a configuration minus the best one of all others, whichever that is. It may be each one of the top
    group. Towards the better they are 0 or beyond, and 0 says that it is not the best.
    """
    better = 1 if highest else -1
    rivals = [best, *(each.name for each in found if each.finding == "not significant")]
    said: list[Comparison] = []
    for each in found:
        if each.p is None or each.finding == "identical":
            said.append(each)
            continue
        ours, others = filled[each.name], [filled[name] for name in rivals if name != each.name]
        apart = each.finding != "not significant"
        gain = 0.0 if apart else better * each.difference + tests.half(ours, filled[best])
        loss = max(better * (_mean(other) - _mean(ours)) + tests.half(ours, other) for other in others)
        low, high = (-loss, gain) if highest else (0.0 - gain, loss)
        said.append(replace(each, low=low, high=high, finding="not the best" if apart else each.finding))
    return said


def can_be_tested(sample: Values, ours: Values) -> bool:
    """Return whether two samples can be compared by a test: three runs each, not identical, and one of them varies."""
    if min(len(sample), len(ours)) < FEWEST_FOR_A_VERDICT or identical(sample, ours):
        return False
    return len(set(sample.values())) > 1 or len(set(ours.values())) > 1


def top_group(samples: Mapping[str, Values], comparisons: Sequence[Comparison], *, highest: bool = True) -> list[str]:
    """Return the configuration with the best mean and all that may be the best as well, best first."""
    means = {name: _mean(sample) for name, sample in samples.items() if sample}
    apart = {each.name for each in comparisons if each.finding in ("higher", "lower", "not the best")}
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
