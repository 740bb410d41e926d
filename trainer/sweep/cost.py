"""The cost of a sweep before it runs: points, epochs and hours, from the first steps of each network."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainer.runs.groups import SEED
from trainer.sweep.budget import any_points, mean_seconds
from trainer.sweep.check import remembered, resolve
from trainer.sweep.local import LocalSweep
from trainer.sweep.points import Entry
from trainer.sweep.status import ENDED
from trainer.training.network_arguments import complete_parts

Predict = Callable[[Entry, str], float]
"""Returns the seconds of a whole run on a device."""


@dataclass(frozen=True)
class Cost:
    """The runs of one configuration, or of a search."""

    label: str
    runs: int  # that are left
    epochs: float  # of a run
    seconds: Mapping[str, float]  # of a run, by device


def costs_of(sweep: LocalSweep, predict: Predict, devices: Sequence[str]) -> list[Cost]:
    """Return what is left of each configuration. Runs that have finished here say how long the next ones take.

    With several kinds of device that is not known of each, so there all are predicted. Raises PilotError if the first
    steps of a run cannot be taken.
    """
    kinds = list(dict.fromkeys(devices))
    state, complete = sweep.state(), remembered(complete_parts)
    measured = mean_seconds(sweep) if len(kinds) == 1 else {}
    first = {entry.point.configuration_key: entry for entry in reversed(sweep.entries)}
    left = Counter(entry.point.configuration_key for entry in sweep.entries if state.get(entry.point.key) not in ENDED)
    if sweep.checked.sweep.file.method != "grid":
        entry = next(iter(sweep.entries), None) or any_points(sweep)[0]
        known = [*measured.values()]
        done = sum(each in ENDED for each in state.values())
        count = left.total() if sweep.entries else sweep.progress().total - done
        first, left = {"": entry}, Counter({"": count})
        measured = {"": sum(known) / len(known)} if known else {}
    keys = [key for key in sweep.checked.sweep.varied if key != SEED]
    return [
        Cost(
            entry.point.label(keys) if name else "a point of the search",
            left[name],
            resolve(entry.point, sweep.checked.sweep, complete).train.epochs,
            {device: measured.get(name) or predict(entry, device) for device in kinds},
        )
        for name, entry in reversed(first.items())
    ]


def duration(runs: Sequence[Mapping[str, float]], slots: Sequence[str]) -> float:
    """Return the seconds until all runs have ended. Each begins in the slot that is free first.

    A run has its seconds by device, and a slot is a device.
    """
    free = [0.0] * len(slots)
    for run in runs:
        slot = free.index(min(free))
        free[slot] += run[slots[slot]]
    return max(free)
