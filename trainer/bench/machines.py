"""Machines that runs were measured on, by what a run folder or an archive says of them.

Seconds of two of them are never mixed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainer.runs.provenance import segments_of


@dataclass(frozen=True)
class Machine:
    """Parts of a machine that have to be the same for seconds that may be compared."""

    device: str  # the processor with its threads, or the name of a GPU
    processor: str  # empty if it is within `device`, or if an older run of a GPU does not say it
    cores: int | None
    versions: tuple[tuple[str, str], ...]  # of Python and the packages, on a GPU of CUDA and cuDNN, too

    @property
    def name(self) -> str:
        """Return `PROCESSOR, 2 threads, 2 cores`, or `GPU beside PROCESSOR, 16 cores`."""
        beside = f" beside {self.processor}" if self.processor else ""
        cores = "" if self.cores is None else f", {self.cores} core{'' if self.cores == 1 else 's'}"
        return f"{self.device}{beside}{cores}"


def machine_of(provenance: Mapping[str, Any]) -> Machine | None:
    """Return the machine of a run.json, or None if it does not say one, or if the run moved between several."""
    found = {_of_segment(each) for each in segments_of(provenance)}
    return found.pop() if len(found) == 1 else None


def names_of(machines: Iterable[Machine]) -> dict[Machine, str]:
    """Return a name for each machine. Where only versions tell two apart, they are in it: `..., torch 2.14.0`."""
    distinct = list(dict.fromkeys(machines))
    alike = Counter(each.name for each in distinct)
    return {each: each.name if alike[each.name] == 1 else f"{each.name}{_telling(each, distinct)}" for each in distinct}


def _telling(machine: Machine, others: Iterable[Machine]) -> str:
    """Return the versions that are not those of all machines of this name."""
    sets = [set(each.versions) for each in others if each.name == machine.name]
    shared = set.intersection(*sets)
    return "".join(f", {name} {version}" for name, version in machine.versions if (name, version) not in shared)


def _of_segment(run: Mapping[str, Any]) -> Machine | None:
    device, machine, versions = run.get("device"), run.get("machine"), run.get("versions")
    if not device or not isinstance(machine, Mapping) or not isinstance(versions, Mapping):
        return None
    processor, cores = str(machine.get("processor") or ""), machine.get("cores")
    within = str(device).startswith(f"{processor}, ")
    told = {"Python": run.get("python"), **versions}
    return Machine(
        str(device),
        "" if within else processor,
        cores if isinstance(cores, int) else None,
        tuple((name, str(version)) for name, version in told.items()),
    )
