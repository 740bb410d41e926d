"""Out of memory, said in a line with what to lower."""

import contextlib
from collections.abc import Iterator

import torch

from trainer.config.train import Train
from trainer.errors import UserError
from trainer.training.device import Compute

_TEXTS = (  # of a RuntimeError, where an allocation is not torch's, or not a GPU's
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


@contextlib.contextmanager
def memory_in_a_line(train: Train, compute: Compute) -> Iterator[None]:
    """Raise UserError, with keys that need less, if a run's device has no memory left."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in _TEXTS):
            raise
        parts = max(2, 2 * train.accumulate)
        device = compute.description["device"]
        raise UserError(
            f"train.batch_size: {train.batch_size}: out of memory on {device}; try train.accumulate={parts}, which "
            "makes each update in smaller parts, a smaller batch_size or eval_batch_size, or fewer runs on it at once"
        ) from error
