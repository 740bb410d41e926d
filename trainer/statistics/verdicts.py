"""Verdicts of a comparison, for a reader who acts on it: different, equivalent within a margin, or undecided.

Equivalence is decided by two one-sided tests (Schuirmann 1987): both say that the difference is smaller than the
margin. As in `comparisons`, each is made with the pair's own variances and with the table's pooled one, and the larger
p counts. Holm's correction is for all comparisons of the table.
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

from trainer.statistics.comparisons import Comparison, Pooled, can_be_tested, dunnett_quantile, pooled
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL, Values, quantile
from trainer.statistics.differences import holm_by_name, welch
from trainer.statistics.power import POWER, smallest_n

Word = Literal["different", "not the best", "equivalent", "identical", "undecided"]


@dataclass(frozen=True)
class Verdict:
    word: Word
    within: bool  # the difference is shown to be smaller than the margin, also if it is significant
    p_within: float | None  # of that, corrected. None without a margin, and where nothing can be tested
    seeds: int | None  # of each configuration that would decide it with 80 % power; None if decided, or above 10,000


def p_within(mean: ArrayLike, error: ArrayLike, df: ArrayLike, margin: float) -> NDArray[np.float64]:
    """Return the larger p of the two tests that a true difference is above -margin and below margin."""
    return special.stdtr(df, (np.abs(mean) - margin) / np.asarray(error))


def verdicts(
    samples: Mapping[str, Values],
    comparisons: Sequence[Comparison],
    reference: str,
    *,
    margin: float | None,
    two_sided: bool,
) -> dict[str, Verdict]:
    """Return the verdict of each comparison with `reference`, by name. `two_sided`: they are with a control.

    `margin` is in the unit of the samples. Raises ValueError for a margin that is not above 0.
    """
    if margin is not None and not 0 < margin < math.inf:
        raise ValueError(f"margin: {margin:g}: expected a difference above 0")
    noise = pooled({name: sample for name, sample in samples.items() if len(sample) >= FEWEST_FOR_A_VERDICT})
    several = len(comparisons) > 1
    testable = [each.name for each in comparisons if can_be_tested(samples[each.name], samples[reference])]
    tested = (
        {}
        if margin is None
        else {
            name: _p_within(samples[name], samples[reference], noise if several else None, margin) for name in testable
        }
    )
    within = holm_by_name(tested)
    found: dict[str, Verdict] = {}
    for each in comparisons:
        p = within.get(each.name)
        inside = each.finding == "identical" or (p is not None and p < LEVEL)
        word = _word(each, inside)
        seeds = None
        if word == "undecided" and noise and each.p is not None:
            seeds = seeds_to_decide(
                abs(each.difference) / math.sqrt(noise.variance),
                len(comparisons),
                None if margin is None else margin / math.sqrt(noise.variance),
                two_sided=two_sided,
            )
        found[each.name] = Verdict(word, inside, p, seeds)
    return found


def _word(comparison: Comparison, inside: bool) -> Word:
    match comparison.finding:
        case "higher" | "lower":
            return "different"
        case "not the best":
            return "not the best"
        case "identical":
            return "identical"
        case _:
            return "equivalent" if inside else "undecided"


def p_of_equivalence(a: Sequence[float], b: Sequence[float], margin: float) -> float:
    """Return the larger p of the two one-sided Welch tests that the means differ by less than the margin.

    1 for samples that cannot be tested: one of them has a single value, or neither varies.
    """
    own = welch(a, b)
    if own.df is None or own.high is None:
        return 1.0
    return float(p_within(own.mean, (own.high - own.mean) / quantile(own.df), own.df, margin))


def _p_within(a: Values, b: Values, noise: Pooled | None, margin: float) -> float:
    x, y = [*a.values()], [*b.values()]
    p = p_of_equivalence(x, y, margin)
    if noise is None:
        return p
    error = math.sqrt(noise.variance * (1 / len(x) + 1 / len(y)))
    return max(p, float(p_within(fmean(x) - fmean(y), error, noise.df, margin)))


@cache
def seeds_to_decide(difference: float, comparisons: int, margin: float | None, *, two_sided: bool) -> int | None:
    """Return about how many runs each find a pair different, one not the best, or a pair equivalent in 80 % of sweeps.

    `difference` and `margin` are in standard deviations of a run. The sweep has `comparisons` with one configuration.
    None if more than 10,000 are needed. The noncentral t-distribution is taken to be a shifted one.
    """

    def enough(n: int) -> bool:
        df, error = (comparisons + 1) * (n - 1), math.sqrt(2 / n)
        critical = quantile(2 * (n - 1))
        if comparisons > 1:  # from 1,000 on, degrees of freedom change nothing
            shares = (math.sqrt(0.5),) * comparisons
            critical = max(critical, dunnett_quantile(shares, min(df, 1000), two_sided=two_sided))
        apart = special.stdtr(df, difference / error - critical)
        inside = 0.0
        if margin is not None:
            room = margin / error - special.stdtrit(df, 1 - LEVEL / comparisons)
            inside = special.stdtr(df, room - difference / error) - special.stdtr(df, -room - difference / error)
        return bool(apart + max(0.0, inside) >= POWER)

    return smallest_n(enough)
