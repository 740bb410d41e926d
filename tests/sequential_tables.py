"""The simulations of `trainer sweep run --until decided` in docs/simulations.md: `python tests/sequential_tables.py`.

It prints the errors of equal configurations, those at the margin's border, and the seeds that a better one takes.
"""

import re
from itertools import combinations

import numpy as np
from scipy import stats

from trainer.statistics.sequential import EQUIVALENT, Course, Design, Numbers, follow

KINDS = (
    "normal",
    "exponential",
    "t, 3 df",
    "spreads 1 to 3",
    "spreads 1 to 5",
    "spreads 1 to 10",
    "exponential, 1 to 3",
)
MOST = 22  # seeds of a configuration, where one is better


def outcomes(kind: str, *, runs: int, count: int, seeds: int, seed: int = 1) -> Numbers:
    """Values [R, K, N] of `count` equal configurations. Unequal spreads rise evenly from the first to the last."""
    rng, shape = np.random.default_rng(seed), (runs, count, seeds)
    match kind.partition(",")[0]:
        case "exponential":
            values = rng.exponential(size=shape) - 1
        case "t":
            values = rng.standard_t(3, size=shape)
        case _:
            values = rng.standard_normal(shape)
    spread = re.search(r"1 to (\d+)$", kind)
    return values * np.linspace(1, int(spread[1]), count)[None, :, None] if spread else values


def rate_of_errors(course: Course) -> float:
    """Return the share of sweeps that call any pair different."""
    return float(np.isin(course.verdicts, (1, -1)).any(axis=1).mean())


def sequential(count: int, runs: int, deviations: float) -> tuple[float, float]:
    """Return (power, mean number of runs) where one configuration is better by so many standard deviations."""
    values = outcomes("normal", runs=runs, count=count, seeds=MOST)
    values[:, 0] += deviations
    course = follow(values, Design("best", at_most=MOST))
    found = (course.verdicts[:, _of_first(count)] == 1).all(axis=1)
    return float(found.mean()), float(course.seeds.sum(axis=1).mean())


def fixed_seeds(count: int, runs: int, deviations: float, power: float) -> int | None:
    """Return the seeds of a design with one look that has this power, None for more than 100.

    It is Welch's test of all pairs, with Holm's correction.
    """
    for seeds in range(2, 101):
        values = outcomes("normal", runs=runs, count=count, seeds=seeds, seed=2)
        values[:, 0] += deviations
        a, b = (list(each) for each in zip(*combinations(range(count), 2), strict=True))
        p = np.asarray(stats.ttest_ind(values[:, a], values[:, b], axis=-1, equal_var=False)[1])
        order = np.argsort(p, axis=1)
        steps = np.take_along_axis(p, order, axis=1) <= 0.05 / np.arange(len(a), 0, -1)
        apart = np.zeros_like(steps)
        np.put_along_axis(apart, order, np.logical_and.accumulate(steps, axis=1), axis=1)
        found = apart & (values.mean(axis=-1)[:, a] > values.mean(axis=-1)[:, b])
        if found[:, _of_first(count)].all(axis=1).mean() >= power:
            return seeds
    return None


def _of_first(count: int) -> list[int]:
    return [place for place, pair in enumerate(combinations(range(count), 2)) if 0 in pair]


def main() -> None:
    """Print the tables."""
    print("Equal configurations, any pair called different, in percent, 3 to 10 seeds")
    print("| configurations |", " | ".join(KINDS), "|")
    for count, runs in ((2, 40_000), (5, 20_000), (10, 5000)):
        rates = [
            rate_of_errors(follow(outcomes(kind, runs=runs, count=count, seeds=10), Design("all-pairs", at_most=10)))
            for kind in KINDS
        ]
        print(f"| {count} |", " | ".join(f"{100 * rate:.1f}" for rate in rates), "|", flush=True)
    print("Two configurations that differ by the margin, called equivalent, in percent, 3 to 10 seeds, 20,000 sweeps")
    for kind in KINDS:
        values = outcomes(kind, runs=20_000, count=2, seeds=10)
        margin = 1.5 * float(values.std(axis=(0, 2)).max())
        design = Design("all-pairs", at_most=10, margin=margin)
        sides = (values + margin * (np.arange(2) == which)[:, None] for which in (0, 1))  # the worse one is shown
        found = max((follow(side, design).verdicts == EQUIVALENT).mean() for side in sides)
        print(f"| {kind} | {100 * found:.1f} |", flush=True)
    print(f"One better by some standard deviations, 3 to {MOST} seeds, 2,000 sweeps")
    for count in (2, 5, 10):
        first = sequential(count, 2000, 1)[0]
        at_one = fixed_seeds(count, 2000, 1, first)
        for deviations in (1, 2, 3):
            power, mean = sequential(count, 2000, deviations)
            here = fixed_seeds(count, 2000, deviations, power)
            fixed = [each and each * count for each in (here, at_one)]
            saved = [each and f"{each}, {1 - mean / each:.0%} saved" for each in fixed]
            print(f"| {count} | {deviations} | {power:.3f} | {mean:.1f} | {saved[0]} | {saved[1]} |", flush=True)


if __name__ == "__main__":
    main()
