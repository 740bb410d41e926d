"""Rows of what seeds can tell: the smallest difference that n of them find, at the noise of a group of runs."""

from trainer.panels.panel import Histories, Row, counting
from trainer.runs.chance import that_learned
from trainer.runs.history import is_finite
from trainer.statistics.planned import Test, smallest_difference
from trainer.statistics.table import noise_floor

SEEDS = range(3, 21)  # of a chart; fewer have no verdict


def of_noise(
    group: str, test: Test, std: float, low: float, high: float, *, others: int, wanted: float | None = None
) -> list[Row]:
    """Return `group, seeds, difference, low, high, wanted`. `low` and `high` bound the standard deviation.

    A difference is proportional to it.
    """
    rows: list[Row] = []
    for n in SEEDS:
        found = smallest_difference(test, std, n, others=others)
        if found is not None:
            bounds = {"low": found * low / std, "high": found * high / std}
            rows.append({"group": group, "seeds": n, "difference": found, **bounds, "wanted": wanted})
    return rows


def smallest_differences(groups: Histories) -> list[Row]:
    """Return these rows for the best test accuracy of the groups, in points, at the noise floor of all groups."""
    learned = that_learned([run for runs in counting(groups).values() for run in runs])
    kept = {id(run) for run in learned}
    samples = {
        label: {
            number: 100 * accuracy
            for number, run in enumerate(runs)
            if id(run) in kept and is_finite(accuracy := run.summary.get("test/accuracy"))
        }
        for label, runs in counting(groups).items()
    }
    floor = noise_floor(samples)
    if floor is None or not floor.std:
        return []
    count = max(2, sum(len(sample) > 1 for sample in samples.values()))
    label = f"the best of {count}, {floor.df} degrees of freedom"
    return of_noise(label, "best", floor.std, floor.low, floor.high, others=count - 1)
