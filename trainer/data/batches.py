"""Training batches that depend on (seed, epoch) alone, augmented as they are gathered.

Nothing is done per image in Python: the whole set lies on the device padded and mirrored as [N, 2, H+2p, W+2p, C]
uint8, a strided view of it has every crop of every image as an entry of its own, and one advanced index
(image, mirrored, row, column) gathers a batch, cropped and flipped.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.config.augment import Augment
from trainer.data.images import Split
from trainer.seeds import generator


class Normalize:
    """uint8 images to floats of zero mean and unit variance per channel."""

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device | Literal["cpu"] = "cpu"
    ) -> None:
        """`mean` and `std` [C] are fractions of white. Lies on the device, so that no step waits for a copy to it."""
        centre, spread = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self._scale = (1 / (255 * spread)).to(device)
        self._shift = (-centre / spread).to(device)

    def __call__(self, images: Tensor, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
        """[N, C, H, W] uint8 -> float32, in the memory format that is asked for."""
        return torch.addcmul(self._shift, images.to(torch.float32, memory_format=memory_format), self._scale)


class TrainingBatches:
    """The training set as batches of augmented uint8 images, the same for the same (seed, epoch)."""

    def __init__(self, split: Split, augment: Augment, *, batch_size: int, seed: int, drop_last: bool = False) -> None:
        """`split` already lies on the training device. `drop_last` leaves out a smaller last batch."""
        self.labels = split.labels
        self.batch_size = min(batch_size, len(split))
        self.seed = seed
        self.flips = augment.flip.mode == "random"
        self.shifts = 2 * augment.crop.padding + 1
        self._windows = _all_windows(split.images, augment.crop.padding, augment.crop.mode, mirrored=self.flips)
        whole, rest = divmod(len(split), self.batch_size)
        self.per_epoch = whole + (rest > 0 and not drop_last)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches [B, C, H, W] uint8 (channels last in memory) and [B] of epoch number `epoch`, from batch `start`."""
        n, device = len(self.labels), self.labels.device
        draw = generator(self.seed, "epoch", epoch)
        order = torch.randperm(n, generator=draw).to(device)
        flip = torch.randint(2 if self.flips else 1, (n,), generator=draw).to(device)
        row, column = torch.randint(self.shifts, (2, n), generator=draw).to(device)
        for at in range(start, self.per_epoch):
            now = slice(at * self.batch_size, (at + 1) * self.batch_size)
            picked = order[now]
            # Indexing before the channel axis leaves channels innermost in memory; the permute only renames axes.
            yield self._windows[picked, flip[now], row[now], column[now]].permute(0, 3, 1, 2), self.labels[picked]


def _all_windows(images: Tensor, padding: int, mode: str, *, mirrored: bool) -> Tensor:
    """[N, C, H, W] uint8 -> a view [N, 1 or 2, 2p+1, 2p+1, H, W, C]: every crop of each image and of its mirror."""
    _, _, height, width = images.shape
    padded = pad(images, padding, mode)
    both = torch.stack([padded, padded.flip(-1)] if mirrored else [padded], dim=1)  # [N, M, C, H+2p, W+2p]
    stored = both.permute(0, 1, 3, 4, 2).contiguous()
    windows = stored.unfold(2, height, 1).unfold(3, width, 1)  # [N, M, 2p+1, 2p+1, C, H, W]
    return windows.permute(0, 1, 2, 3, 5, 6, 4)


def pad(images: Tensor, padding: int, mode: str) -> Tensor:
    """uint8 images with `padding` pixels more on each side: black (`zero`) or mirrored (`reflect`)."""
    if not padding:
        return images
    sides = (padding,) * 4
    return F.pad(images, sides) if mode == "zero" else F.pad(images, sides, mode="reflect")
