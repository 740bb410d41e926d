"""Findings, rows and summaries of `trainer bench accuracy`: accuracies of all runs, seconds for each machine."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trainer.bench.machines import Machine
from trainer.bench.rounds import Spread, spread
from trainer.bench.takes import Take
from trainer.statistics.describe import describe, p_above
from trainer.text import spread as mean_and_spread

LEVEL = 0.01  # of the one-sided test that the mean is above the target


def finding(name: str, takes: Sequence[Take], target: float, machines: Mapping[Machine, str]) -> str:
    """Return what the runs say about the target, in a sentence. `machines` are their names."""
    values = [take.accuracy for take in takes]
    p, accuracy = p_above(target, values), mean_and_spread([100 * value for value in values], unit="%")
    mean = f"{name}: mean test accuracy {accuracy} in {_seconds(takes, machines)}"
    if p is None:
        return f"{mean}: undecided against {100 * target:g}% (a verdict needs three runs that differ)"
    word = "above" if p < LEVEL else "not shown to be above"
    return f"{mean}: {word} {100 * target:g}%, one-sided p {p:.2g}, level {LEVEL:g}"


def rows(name: str, takes: Sequence[Take], machines: Mapping[Machine, str]) -> dict[str, dict[str, Spread]]:
    """Return the rows of a side: one, or if not all runs were made here, accuracies first and then each machine."""
    accuracy = {"test accuracy, %": spread([100 * take.accuracy for take in takes])}
    found = by_machine(takes, machines)
    if _made_here(takes):
        return {name: accuracy | _clocks(takes)}
    return {name: accuracy} | {f"{name} (n={len(some)}) on {machine}": _clocks(some) for machine, some in found.items()}


def by_machine(takes: Sequence[Take], machines: Mapping[Machine, str]) -> dict[str, list[Take]]:
    """Return the runs of each machine whose seconds may be compared, by its name."""
    found: dict[str, list[Take]] = {}
    for take in takes:
        if take.machine:
            found.setdefault(machines[take.machine], []).append(take)
    return found


def summaries(takes: Sequence[Take], machines: Mapping[Machine, str]) -> list[dict[str, Any]]:
    """Return mean and standard deviation of the charged seconds on each machine, as plain values."""
    found: list[dict[str, Any]] = []
    for machine, some in by_machine(takes, machines).items():
        sample = describe([take.seconds for take in some])
        assert sample
        found.append({"machine": machine, "n": sample.n, "mean": sample.mean, "sd": sample.std})
    return found


def plain(take: Take, machines: Mapping[Machine, str]) -> dict[str, Any]:
    """Return a run as plain values, with the name of its machine."""
    return asdict(take) | {"machine": machines[take.machine] if take.machine else None}


def _made_here(takes: Sequence[Take]) -> bool:
    """Return whether the seconds of all runs are of one machine, which is the one that the measurement names."""
    return takes[0].machine is not None and all(take.machine == takes[0].machine and not take.archive for take in takes)


def _seconds(takes: Sequence[Take], machines: Mapping[Machine, str]) -> str:
    """Return `864 ± 17 s`, or `864 ± 17 s (n=3) on A and 901 ± 5 s (n=7) on B`."""
    said = {
        machine: mean_and_spread([take.seconds for take in some], digits=None, unit=" s")
        for machine, some in by_machine(takes, machines).items()
    }
    if _made_here(takes):
        return next(iter(said.values())).partition(" (")[0]
    return " and ".join(f"{each} on {machine}" for machine, each in said.items()) or "seconds of no one machine"


def _clocks(takes: Sequence[Take]) -> dict[str, Spread]:
    """Return the spreads of seconds. The free ones are those that a side tells, without compiling if nothing is."""
    free = {
        "build (free), s": [take.build for take in takes if take.build is not None],
        "compile (free), s": [take.compile for take in takes if take.compile],
    }
    return {
        "charged, s": spread([take.seconds for take in takes]),
        **{column: spread(seconds) for column, seconds in free.items() if seconds},
    }
