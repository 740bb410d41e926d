"""What is said of the configurations beside the best, in docs/simulations.md: `python tests/best_tables.py`.

It prints how often a wrong one of these statements is in a table, by the rule of `comparisons.with_best`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.statistics.comparisons import dunnett_quantile
from trainer.statistics.describe import LEVEL

Array = NDArray[np.float64]
KINDS = ("normal", "left-skewed", "right-skewed")


def said_wrongly(runs: Array, means: Array) -> tuple[float, float, float]:
    """Return three shares of tables [sweeps, k, n], whose configurations have these true means, the first the best.

    The first is called not the best. A bound does not hold. One that equals the best in the data is apart from it, and
    was called different before.
    """
    tables, k, n = runs.shape
    found, variances = runs.mean(-1), runs.var(-1, ddof=1)
    a, b = variances[:, :, None], variances[:, None, :]
    df = (n - 1) * (a + b) ** 2 / (a**2 + b**2)
    critical = dunnett_quantile((math.sqrt(0.5),) * (k - 1), k * (n - 1), two_sided=False)
    pooled = critical * np.sqrt(2 / n * variances.mean(-1))
    half = np.maximum(special.stdtrit(df, 1 - LEVEL / 2) * np.sqrt((a + b) / n), pooled[:, None, None])
    rows, best = np.arange(tables), found.argmax(1)
    other = np.arange(k) != best[:, None]
    lead, own = found[rows, best][:, None] - found, half[rows, best]
    apart = other & (lead > own)
    rival = ~apart[:, None, :] & ~np.eye(k, dtype=bool)
    low = np.where(rival, found[:, :, None] - found[:, None, :] - half, np.inf).min(-1)
    high = np.where(apart, 0.0, own - lead)
    true = np.array([mean - np.delete(means, place).max() for place, mean in enumerate(means)])
    missed = other & ((true < low) | (true > high))
    equal = apart & (means[best][:, None] == means)
    return float(apart[:, 0].mean()), float(missed.any(1).mean()), float(equal.any(1).mean())


def draw(kind: str, stds: Array, means: Array, n: int, tables: int) -> Array:
    """Return runs [tables, k, n]. Skewed ones are exponential."""
    random, shape = np.random.default_rng(1), (tables, len(means), n)
    noise = random.normal(size=shape) if kind == "normal" else random.exponential(size=shape) - 1
    return (-noise if kind == "left-skewed" else noise) * stds[:, None] + means[:, None]


if __name__ == "__main__":
    for kind in KINDS:
        for wide in (1.0, 3.0):
            for n in (3, 5, 10):
                cells: list[str] = []
                for k in (3, 6, 13):
                    first = np.arange(k) == 0
                    spreads = np.where(first, wide, 1.0)
                    for lead in (0.0, 1.0):
                        means = np.where(first, lead, 0.0)
                        lost, missed, before = said_wrongly(draw(kind, spreads, means, n, 10_000), means)
                        cells.append(f"k={k} lead {lead:g}: {lost:.1%}, {missed:.1%}, before {before:.1%}")
                print(f"{kind}, the best of {wide:g} times the spread, n={n}:", "; ".join(cells), flush=True)
