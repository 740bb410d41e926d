"""Memory that a run takes on its device, measured in its first steps."""

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
    return psutil.virtual_memory().available


def _held(compute: Compute) -> int:
    if compute.device.type == "cuda":  # what the allocator has taken, which is more than the tensors
        return torch.cuda.max_memory_reserved(compute.device) + _CONTEXT
    return compute.peak_memory()
