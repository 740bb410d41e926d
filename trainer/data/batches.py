"""Training batches that depend on (seed, epoch) alone, augmented as they are gathered.

Nothing is done per image in Python. The whole set is on the device, padded and mirrored, as [N, 2, H+2p, W+2p, C]
uint8. One `index_select` of rows of pixels gathers a batch, cropped and flipped. The other augmentations change the
gathered batch, in torchvision's reference order: auto, color_jitter, erasing, mix. One of yours comes before mix.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.config.augment import (
    Augment,
    Cutmix,
    Cutout,
    Mixup,
    NoAuto,
    NoErasing,
    NoExtra,
    NoMix,
    OwnAugment,
    RandAugment,
    RandomErasing,
    TrivialAugmentWide,
)
from trainer.data.augment.auto import auto_augment
from trainer.data.augment.color import color_jitter
from trainer.data.augment.erase import erasing
from trainer.data.augment.mix import MixChange, mixing
from trainer.data.augment.own import own_augment
from trainer.data.augment.stage import Epoch, Stage
from trainer.data.images import Split
from trainer.errors import ConfigError
from trainer.seeds import generator


class Normalize:
    """A function from uint8 images to floats with zero mean and unit variance per channel."""

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device | Literal["cpu"] = "cpu"
    ) -> None:
        """`mean` and `std` [C] are fractions of white. They are on the device, so that no step waits for a copy."""
        centre, spread = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self._scale = (1 / (255 * spread)).to(device)
        self._shift = (-centre / spread).to(device)

    def __call__(self, images: Tensor, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
        """Map [N, C, H, W] levels in 0..255, uint8 or float32, to float32 in `memory_format`."""
        levels = images.to(torch.float32, memory_format=memory_format)
        # In the layout of one image they are read along with it. A broadcast along memory would stop at every pixel.
        shift, scale = (torch.empty_like(levels[:1]).copy_(each) for each in (self._shift, self._scale))
        return torch.addcmul(shift, levels, scale, out=levels if levels is not images else None)


class TrainingBatches:
    """The training set as augmented batches, the same for the same (seed, epoch)."""

    def __init__(
        self,
        split: Split,
        augment: Augment,
        *,
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        num_classes: int | None = None,
        mean: Sequence[float] | None = None,
    ) -> None:
        """`split` is already on the training device. `drop_last` leaves out a smaller last batch.

        `augment.mix` needs `num_classes`. Erasing needs `mean` [C], in fractions of white. Raises ConfigError for more
        padding than an image can reflect.
        """
        self.labels = split.labels
        self.batch_size = min(batch_size, len(split))
        self.seed = seed
        self.flip = augment.flip.mode
        self.shifts = 2 * augment.crop.padding + 1
        side = min(split.images.shape[-2:])
        if augment.crop.mode == "reflect" and augment.crop.padding >= side:
            raise ConfigError(
                f"augment.crop.padding: {augment.crop.padding}: an image {side} pixels wide can reflect at "
                f"most {side - 1}; set mode=zero or less padding"
            )
        self._crops = _Crops(split.images, augment.crop.padding, augment.crop.mode, mirrored=self.flip != "none")
        self._first_flip = torch.randint(2, (len(split),), generator=generator(seed, "first flip"))
        self._stages = _stages(augment, mean)
        self._mix = _mix_stage(augment, num_classes)
        whole, rest = divmod(len(split), self.batch_size)
        self.per_epoch = whole + (rest > 0 and not drop_last)
        self.smallest = rest if rest and not drop_last else self.batch_size  # images of the smallest batch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of epoch number `epoch` from batch `start`: images [B, C, H, W] uint8, channels last in
        memory, and classes [B] int64.

        With `augment.mix` the classes are probabilities [B, K] float32. With mixup the images are float32 in 0..255.
        """
        n, device = len(self.labels), self.labels.device
        draw, order = self._shuffle(epoch)
        flip = torch.randint(2 if self.flip == "random" else 1, (n,), generator=draw)
        row, column = torch.randint(self.shifts, (2, n), generator=draw).to(device)
        if self.flip == "alternating":
            flip = (self._first_flip[order] + epoch) % 2
        order, flip = order.to(device), flip.to(device)
        changes = [stage(self._drawn(name, epoch)) for name, stage in self._stages.items()]
        mix = self._mix(self._drawn("mix", epoch)) if self._mix else None
        for at in range(start, self.per_epoch):
            now = slice(at * self.batch_size, (at + 1) * self.batch_size)
            picked = order[now]
            images = self._crops.gather(picked, flip[now], row[now], column[now])
            for change in changes:
                images = change(at, images)
            labels = self.labels[picked]
            yield mix(at, images, labels) if mix else (images, labels)

    def order(self, epoch: int) -> Tensor:
        """Return [N] on the CPU: the index of each image in the order of epoch number `epoch`."""
        return self._shuffle(epoch)[1]

    def _shuffle(self, epoch: int) -> tuple[torch.Generator, Tensor]:
        draw = generator(self.seed, "epoch", epoch)
        return draw, torch.randperm(len(self.labels), generator=draw)

    def _drawn(self, purpose: str, epoch: int) -> Epoch:
        """Return the random draws of a stage in this epoch. They are independent of whether other stages are on."""
        draw = generator(self.seed, purpose, epoch)
        crops = self._crops
        return Epoch(draw, len(self.labels), self.batch_size, crops.height, crops.width, self.labels.device)


def _stages(augment: Augment, mean: Sequence[float] | None) -> dict[str, Stage]:
    """Return the changes to a gathered batch, in order, by the name of their section."""
    stages: dict[str, Stage] = {}
    match augment.auto:
        case NoAuto():
            pass
        case TrivialAugmentWide() | RandAugment():
            stages["auto"] = partial(auto_augment, augment.auto)
        case _:
            assert_never(augment.auto)
    if any(augment.color_jitter.model_dump().values()):
        stages["color_jitter"] = partial(color_jitter, augment.color_jitter)
    match augment.erasing:
        case NoErasing():
            pass
        case RandomErasing() | Cutout():
            if mean is None:
                raise ValueError("augment.erasing needs the set's mean")
            stages["erasing"] = partial(erasing, augment.erasing, mean)
        case _:
            assert_never(augment.erasing)
    match augment.extra:
        case NoExtra():
            pass
        case OwnAugment():
            stages["extra"] = own_augment(augment.extra)
        case _:
            assert_never(augment.extra)
    return stages


def _mix_stage(augment: Augment, num_classes: int | None) -> Callable[[Epoch], MixChange] | None:
    match augment.mix:
        case NoMix():
            return None
        case Mixup() | Cutmix():
            if num_classes is None:
                raise ValueError("augment.mix needs the number of classes")
            return partial(mixing, augment.mix, num_classes)
        case _:
            assert_never(augment.mix)


class _Crops:
    """Every crop of [N, C, H, W] uint8 images and of their mirror images, at shifts of 0 to 2p pixels each way."""

    def __init__(self, images: Tensor, padding: int, mode: str, *, mirrored: bool) -> None:
        count, channels, self.height, self.width = images.shape
        sides = (self.height + 2 * padding, self.width + 2 * padding)
        # Filled in place, without a copy for each step: it is the largest tensor of a run.
        stored = images.new_empty(count, 1 + mirrored, *sides, channels)
        stored[:, 0] = pad(images, padding, mode).permute(0, 2, 3, 1)
        if mirrored:
            stored[:, 1] = stored[:, 0].flip(2)
        self._image, self._mirrored, self._row, self._column = stored.stride()[:4]  # bytes from one to the next
        self._down = torch.arange(self.height, device=images.device) * self._row  # [H]
        # A row of pixels starts at every byte. `index_select` copies a row at once, an advanced index byte by byte.
        length = self.width * channels
        self._rows = stored.as_strided((stored.numel() - length + 1, length), (1, 1))

    def gather(self, image: Tensor, mirrored: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return the crops [B, C, H, W] at (image, 0 or 1, row, column), [B] int64 each, channels last in memory."""
        first = image * self._image + mirrored * self._mirrored + row * self._row + column * self._column
        rows = self._rows.index_select(0, (first.unsqueeze(1) + self._down).flatten())
        return rows.view(len(image), self.height, self.width, -1).permute(0, 3, 1, 2)


def pad(images: Tensor, padding: int, mode: str) -> Tensor:
    """Return uint8 images with `padding` more pixels on each side: black (`zero`) or mirrored (`reflect`)."""
    if not padding:
        return images
    sides = (padding,) * 4
    return F.pad(images, sides) if mode == "zero" else F.pad(images, sides, mode="reflect")
