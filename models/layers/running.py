"""Running statistics of a BatchNorm, which its evaluation uses."""

import torch
from torch import Tensor


@torch.no_grad()
def move_running_statistics(
    running: tuple[Tensor, Tensor], batch: tuple[Tensor, Tensor], batches: Tensor, momentum: float | None
) -> None:
    """Move `running` mean and variance [C] towards those of a batch, and count it in `batches` [].

    As in torch, a momentum of None means the mean over all batches since the last reset. Its share is a tensor, since
    a number would wait for a GPU.
    """
    batches += 1
    for values, now in zip(running, batch, strict=True):
        values.lerp_(now, batches.to(values.dtype).reciprocal() if momentum is None else momentum)
