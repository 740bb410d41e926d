"""The form of every augmentation: one draw per epoch for all of its images, then a change of each batch.

Everything is drawn on the CPU, so that it is the same on every device. It is sent to the device before the first batch,
so that no batch waits for a copy. For a GPU both are done while the previous epoch trains (`trainer.data.ahead`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Epoch:
    """An epoch to draw for: N images in batches of B. The last batch may be smaller."""

    draw: torch.Generator
    images: int  # N
    batch_size: int  # B
    height: int  # pixels
    width: int
    device: torch.device
    sent: list[Tensor] = field(default_factory=list[Tensor])  # to a GPU so far

    @property
    def batches(self) -> int:
        return -(-self.images // self.batch_size)

    def batch(self, number: int) -> slice:
        """Return the positions of batch `number` among the N images."""
        return slice(number * self.batch_size, (number + 1) * self.batch_size)

    def rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw uniformly in [low, high), float64, on the CPU."""
        return low + (high - low) * torch.rand(*shape, dtype=torch.float64, generator=self.draw)

    def send(self, values: Tensor) -> Tensor:
        """Return values on the device. Nothing waits for the copy to a GPU."""
        if self.device.type != "cuda":
            return values.to(self.device)
        self.sent.append(values.pin_memory().to(self.device, non_blocking=True))
        return self.sent[-1]


Change = Callable[[int, Tensor], Tensor]
"""(batch's number, images [B, C, H, W]) -> images. It may write into its input.

They are uint8, and after `intensity`, which makes them so, float32 about 0..255.
"""

Stage = Callable[[Epoch], Change]
