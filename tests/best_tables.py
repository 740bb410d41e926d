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

    Runs that a configuration does not have are NaN, the same in each table.
    The first is called not the best. A bound does not hold. One that equals the best in the data is apart from it, and
    was called different before.
    """
    tables, k, _ = runs.shape
    n = np.isfinite(runs[0]).sum(-1)
    found, variances = np.nanmean(runs, -1), np.nanvar(runs, -1, ddof=1)
    rows, best = np.arange(tables), found.argmax(1)
    errors = variances / n
    a, b = errors[:, :, None], errors[:, None, :]
    df = (a + b) ** 2 / (a**2 / (n - 1)[:, None] + b**2 / (n - 1))
    pooled = np.sqrt((variances * (n - 1)).sum(-1) / (n - 1).sum())
    shares = [tuple(math.sqrt(own / (own + n[one])) for own in np.delete(n, one)) for one in range(k)]
    critical = np.array([dunnett_quantile(each, int((n - 1).sum()), two_sided=False) for each in shares])
    corrected = (critical[best] * pooled)[:, None, None] * np.sqrt(1 / n[:, None] + 1 / n)
    half = np.maximum(special.stdtrit(df, 1 - LEVEL / 2) * np.sqrt(a + b), corrected)
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


def unequal(n: Array, lead: float, tables: int) -> tuple[float, float, float]:
    """Return the three shares of tables with so many runs of each configuration, normal and of equal spreads."""
    means = np.where(np.arange(len(n)) == 0, lead, 0.0)
    runs = draw("normal", np.ones(len(n)), means, int(n.max()), tables)
    runs[:, np.arange(n.max()) >= n[:, None]] = np.nan
    return said_wrongly(runs, means)


if __name__ == "__main__":
    for k in (3, 6, 13):
        place = np.arange(k)
        second = place % 2 == 1
        for name, few in {
            "the best": place == 0,
            "one other": place == 1,
            "half": second,
            "all others": place > 0,
        }.items():
            shares = [unequal(np.where(few, 3, 10), lead, 10_000) for lead in (0.0, 1.0)]
            line = "; ".join(f"{lost:.1%}, {missed:.1%}" for lost, missed, _ in shares)
            print(f"k={k}, 3 runs of {name} and 10 of the rest, lead 0 and 1: {line}", flush=True)
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
