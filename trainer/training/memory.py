"""Memory that a run takes on its device, measured in its first steps."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from trainer.config import RunConfig
from trainer.training.device import Compute, choose_compute
from trainer.training.pace import measure_pace

_CONTEXT = 2**30  # of a process on a GPU: CUDA's context and its libraries


def measure_memory(config: RunConfig) -> dict[str, Any]:
    """Take the first steps of a run, evaluate a batch and write a checkpoint.

    Return `peak`, the most bytes that were held at once, `free`, those that were free before, and `on_gpu`. They are of
    this process, so measure in one of its own. On a CPU it includes Python, torch and the data set.
    Raises UserError for whatever would keep the run from starting, torch.OutOfMemoryError on a GPU that is too small.
    """
    compute = choose_compute(config.train)
    free = _free(compute)
    measure_pace(config)
    return {"peak": _held(compute), "free": free, "on_gpu": compute.device.type == "cuda"}


def _free(compute: Compute) -> int:
    if compute.device.type == "cuda":
        return torch.cuda.mem_get_info(compute.device)[0]
    return min([psutil.virtual_memory().available, *left_in_groups()])


def left_in_groups(processes: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Yield the bytes left to this process in each of its control groups that has a limit.

    A container has one, and so has a job of a cluster. The machine's own figure knows nothing of them. `processes` is
    the list of the groups, and `root` where their files are. A file that was read and can be dropped is no use.
    """
    try:
        listed = [line.split(":", 2) for line in processes.read_text().splitlines()]
    except OSError:  # not Linux
        return
    for _, kinds, path in listed:
        if "memory" in kinds.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        elif not kinds:  # version 2, of one tree for all kinds
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        else:
            continue
        group = top / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):  # in a container the path may be the host's, and the group is at the top
                with suppress(OSError, ValueError, KeyError):  # no such folder, or no limit ("max")
                    limit, used = (int((folder / name).read_text()) for name in names[:2])
                    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                    yield limit - used + int(stat[names[2]])


def _held(compute: Compute) -> int:
    if compute.device.type == "cuda":  # what the allocator has taken, which is more than the tensors
        return torch.cuda.max_memory_reserved(compute.device) + _CONTEXT
    return compute.peak_memory()
