"""What every augmentation is: one draw an epoch for all of its images, then a change of one batch after another.

All is drawn on the CPU, so that it is the same on every device, and sent to the device before the first batch, so
that no batch waits for a copy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Epoch:
    """What there is to draw for: N images in batches of B, the last of which may be smaller."""

    draw: torch.Generator
    images: int  # N
    batch_size: int  # B
    height: int  # pixels
    width: int
    device: torch.device

    @property
    def batches(self) -> int:
        return -(-self.images // self.batch_size)

    def batch(self, number: int) -> slice:
        """The places of batch `number` among the N."""
        return slice(number * self.batch_size, (number + 1) * self.batch_size)

    def rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high) float64, on the CPU."""
        return low + (high - low) * torch.rand(*shape, dtype=torch.float64, generator=self.draw)


Change = Callable[[int, Tensor], Tensor]
"""(batch's number, images [B, C, H, W] uint8) -> images of that kind; may write into those it is given."""

Stage = Callable[[Epoch], Change]
