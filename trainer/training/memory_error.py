"""Out of memory, said in a line with what to lower."""

import contextlib
from collections.abc import Iterator

import torch

from trainer.config.train import Train
from trainer.errors import UserError
from trainer.training.device import Compute

_OF_THE_CPU = "DefaultCPUAllocator: can't allocate memory"  # begins a RuntimeError, after torch's place in C++


@contextlib.contextmanager
def memory_in_a_line(train: Train, compute: Compute) -> Iterator[None]:
    """Raise UserError, with keys that need less, if a run's device has no memory left."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _OF_THE_CPU not in str(error):
            raise
        parts = max(2, 2 * train.accumulate)
        device = compute.description["device"]
        raise UserError(
            f"train.batch_size: {train.batch_size}: out of memory on {device}; try train.accumulate={parts}, which "
            "makes each update in smaller parts, a smaller batch_size or eval_batch_size, or fewer runs on it at once"
        ) from error
