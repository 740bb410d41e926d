"""Many verdicts at once: how many are false by chance, and whether their p-values lie as chance would have them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.statistics.describe import LEVEL

_PARTS = 5


@dataclass(frozen=True)
class Joint:
    """n tests at the 5 % level, seen together. If all null hypotheses are true, the p-values are uniform."""

    n: int
    significant: int  # p below 5 %
    expected: float  # of them if all null hypotheses are true
    corrected: int  # still significant if 5 % is the share of false ones among them (Benjamini and Hochberg 1995)
    fifths: tuple[int, ...]  # p-values from 0 to 0.2, from 0.2 to 0.4, and so on
    p_uniform: float  # Kolmogorov's test that they are uniform; takes the tests to be independent


def joint(p_values: Sequence[float]) -> Joint | None:
    """Return what p-values say together, or None without any."""
    if not p_values:
        return None
    from scipy import stats  # takes seconds to load

    p = np.asarray(p_values, dtype=float)
    return Joint(
        n=len(p),
        significant=int((p < LEVEL).sum()),
        expected=LEVEL * len(p),
        corrected=int((stats.false_discovery_control(p) < LEVEL).sum()),
        fifths=tuple(int(count) for count in np.histogram(p, bins=_PARTS, range=(0, 1))[0]),
        p_uniform=float(stats.kstest(p, "uniform").pvalue),
    )
