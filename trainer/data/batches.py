"""Training batches that depend on (seed, epoch) alone, augmented as they are gathered.

Nothing is done per image in Python. The whole set is on the device, padded and mirrored, as [N, 2, H+2p, W+2p, C]
uint8. One `index_select` of rows of pixels gathers a batch, cropped and flipped. The other augmentations change the
gathered batch, in torchvision's reference order: auto, color_jitter, erasing, mix. One of yours, and intensity, come
before mix. On a CPU, small batches that are changed are made side by side, with the same bits. For a GPU the draws of
the next epoch are made ahead.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, assert_never

import torch
from torch import Tensor

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
from trainer.data.ahead import Ahead
from trainer.data.augment.auto import auto_augment
from trainer.data.augment.color import changes_on, color_jitter
from trainer.data.augment.erase import erasing
from trainer.data.augment.intensity import intensity
from trainer.data.augment.mix import MixChange, mixing
from trainer.data.augment.own import own_augment
from trainer.data.augment.stage import Change, Epoch, Stage
from trainer.data.crops import Crops, resized
from trainer.data.images import Split
from trainer.data.side_by_side import side_by_side
from trainer.data.steps import Steps
from trainer.errors import ConfigError
from trainer.seeds import generator

_SMALL = 2**21
"""Most levels of a batch that is made beside others. Those of a larger one keep all cores busy."""


class Normalize:
    """A function from uint8 images to floats with zero mean and unit variance per channel."""

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device | Literal["cpu"] = "cpu"
    ) -> None:
        """`mean` and `std` [C] are fractions of white. They are on the device, so that no step waits for a copy."""
        self.mean, self.std = tuple(mean), tuple(std)
        centre, spread = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self._scale = (1 / (255 * spread)).to(device)
        self._shift = (-centre / spread).to(device)
        self._last: tuple[object, tuple[Tensor, Tensor]] | None = None  # (layout, shift and scale in it)

    def __call__(self, images: Tensor, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
        """Map [N, C, H, W] levels in 0..255, uint8 or float32, to float32 in `memory_format`."""
        levels = images.to(torch.float32, memory_format=memory_format)
        shift, scale = self._laid_out(levels[:1])
        return torch.addcmul(shift, levels, scale, out=levels if levels is not images else None)

    def _laid_out(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and scale in the layout of one image [1, C, H, W].

        So they are read along with it: a broadcast along memory would stop at every pixel.
        """
        layout, last = (image.shape, image.stride()), self._last
        if last is None or last[0] != layout:
            shift, scale = (torch.empty_like(image).copy_(each) for each in (self._shift, self._scale))
            self._last = last = layout, (shift, scale)
        return last[1]


@dataclass(frozen=True)
class _Draws:
    """An epoch of N images, in its order."""

    image: Tensor  # [N] index in the set
    mirrored: Tensor  # [N] 0 or 1
    row: Tensor  # [N] of the crop
    column: Tensor  # [N]
    changes: Sequence[Change]
    mix: MixChange | None
    sent: Sequence[Tensor]  # of all this, to a GPU


class TrainingBatches:
    """The training set as augmented batches, the same for the same (seed, epoch)."""

    def __init__(
        self,
        split: Split,
        augment: Augment,
        *,
        steps: Steps,
        seed: int,
        num_classes: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        ahead: bool | None = None,
    ) -> None:
        """`split` is already on the training device. `steps` are for as many images.

        With `ahead` the draws of the next epoch are made while one is read, with the same bits. None does so on a GPU.

        `augment.mix` needs `num_classes`. Erasing needs `mean` [C], in fractions of white, and intensity `std`, too.
        Raises ConfigError for more padding than an image can reflect, for a side larger than that of the images, and
        for changes of colour if they have other than 1 or 3 channels.
        """
        self.labels, self._crop = split.labels, augment.crop
        channels, height, width = split.images.shape[1:]
        self._shape = channels, height, width
        self._images = split.images if augment.side.pixels else None  # for the other sides
        self.steps = steps
        self.seed = seed
        self.flip = augment.flip.mode
        self.shifts = 2 * augment.crop.padding + 1
        self._sides = augment.side
        whole = min(split.images.shape[-2:])
        if (largest := max(augment.side.pixels, default=whole)) > whole:
            raise ConfigError(f"augment.side.pixels: {largest}: the images are {whole} pixels wide; give at most that")
        side = min(augment.side.pixels, default=whole)
        if augment.crop.mode == "reflect" and augment.crop.padding >= side:
            raise ConfigError(
                f"augment.crop.padding: {augment.crop.padding}: an image {side} pixels wide can reflect at "
                f"most {side - 1}; set mode=zero or less padding"
            )
        _refuse_colours(augment, self._shape[0])
        self._crops = self._crops_of(0, split.images)
        self._first_flip = torch.randint(2, (len(split),), generator=generator(seed, "first flip"))
        self._stages = _stages(augment, mean, std)
        if jitter := "color_jitter" in self._stages:
            changes_on(self.labels.device)  # compiled before any clock of training runs
        # Not one of yours, which need not allow for threads.
        self._side_by_side = bool(self._stages) and "extra" not in self._stages and self.labels.device.type == "cpu"
        self._most_beside = math.inf if jitter else _SMALL  # compiled jitter takes one core, whatever the batch
        self._mix = _mix_stage(augment, num_classes)
        ahead = self.labels.device.type == "cuda" if ahead is None else ahead
        self._ahead = Ahead[_Draws](self.labels.device) if ahead else None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of epoch number `epoch` from batch `start`: images [B, C, H, W] uint8, channels last in
        memory, and classes [B] int64.

        With `augment.mix` the classes are probabilities [B, K] float32. With mixup the images are float32 in 0..255,
        and so they are with intensity, which can leave these limits. H and W are those of `side`.
        """
        if self._images is not None and self.side(epoch) != self._side:
            self._crops = self._crops_of(epoch, self._images)
        draws = (self._ahead and self._ahead.take(epoch)) or self._draw(epoch)
        size = self.steps.size(epoch)
        # At once for the epoch: on a CPU an operation on one batch's numbers costs as much as one on all.
        places = self._crops.places(draws.image, draws.mirrored, draws.row, draws.column)
        classes = self.labels[draws.image]

        def make(at: int) -> tuple[Tensor, Tensor]:
            now = slice(at * size, (at + 1) * size)
            images, labels = self._crops.gather(places[now]), classes[now]
            for change in draws.changes:
                images = change(at, images)
            return draws.mix(at, images, labels) if draws.mix else (images, labels)

        numbers = range(start, self.steps.in_epoch(epoch))
        small = size * math.prod(self._shape) <= self._most_beside
        made = iter(side_by_side(make, numbers) if self._side_by_side and small else map(make, numbers))
        yield from islice(made, 1)  # who takes only one batch, to look at, needs no next epoch
        with self._ahead.drawing(epoch + 1, self._draw) if self._ahead else nullcontext():
            yield from made

    def _draw(self, epoch: int) -> _Draws:
        drawn = self._drawn("epoch", epoch)
        image = torch.randperm(drawn.images, generator=drawn.draw)
        mirrored = torch.randint(2 if self.flip == "random" else 1, (drawn.images,), generator=drawn.draw)
        row, column = drawn.send(torch.randint(self.shifts, (2, drawn.images), generator=drawn.draw))
        if self.flip == "alternating":
            mirrored = (self._first_flip[image] + epoch) % 2
        image, mirrored = drawn.send(image), drawn.send(mirrored)
        changes = [stage(self._drawn(name, epoch, drawn.sent)) for name, stage in self._stages.items()]
        mix = self._mix(self._drawn("mix", epoch, drawn.sent)) if self._mix else None
        return _Draws(image, mirrored, row, column, changes, mix, drawn.sent)

    def side(self, epoch: int) -> int | None:
        """Return the side that images are scaled to in an epoch, in pixels. None leaves them as they are."""
        past = bisect_right(self._sides.from_epochs, epoch)
        return self._sides.pixels[past - 1] if past else None

    def shapes(self, steps: int) -> list[tuple[int, ...]]:
        """Return the shapes [B, C, H, W] of the first `steps` batches, in the order in which they first occur."""
        found = self.steps.sizes(steps, self._sides.from_epochs)
        return list(dict.fromkeys((images, *self._shape_in(epoch)) for epoch, images in found))

    def _shape_in(self, epoch: int) -> tuple[int, int, int]:
        side = self.side(epoch)
        return self._shape if side is None else (self._shape[0], side, side)

    def _crops_of(self, epoch: int, images: Tensor) -> Crops:
        self._side = self.side(epoch)
        images = images if self._side is None else resized(images, self._side)
        return Crops(images, self._crop.padding, self._crop.mode, mirrored=self.flip != "none")

    def order(self, epoch: int) -> Tensor:
        """Return [N] on the CPU: the index of each image in the order of epoch number `epoch`."""
        return torch.randperm(len(self.labels), generator=generator(self.seed, "epoch", epoch))

    def _drawn(self, purpose: str, epoch: int, sent: list[Tensor] | None = None) -> Epoch:
        """Return the random draws of a stage in this epoch. They are independent of whether other stages are on."""
        _, height, width = self._shape_in(epoch)
        sent = [] if sent is None else sent
        draw, device = generator(self.seed, purpose, epoch), self.labels.device
        return Epoch(draw, len(self.labels), self.steps.size(epoch), height, width, device, sent)


def _refuse_colours(augment: Augment, channels: int) -> None:
    """Raise ConfigError for changes that need an image's grey or its red, green and blue, unless it has them."""
    if channels in (1, 3):
        return
    jitter = augment.color_jitter.model_dump(exclude={"brightness"})
    asked = {f"color_jitter.{key}": (f"{value:g}", "0") for key, value in jitter.items() if value}
    if not isinstance(augment.auto, NoAuto):
        asked["auto.name"] = (augment.auto.name, "none")
    if asked:
        raise ConfigError(
            *(
                f"augment.{key}: {value} needs images of 1 or 3 channels, not {channels}; set it to {off}, or take "
                "augment.intensity"
                for key, (value, off) in asked.items()
            )
        )


def _stages(augment: Augment, mean: Sequence[float] | None, std: Sequence[float] | None) -> dict[str, Stage]:
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
    if augment.intensity.brightness or augment.intensity.contrast:
        if mean is None or std is None:
            raise ValueError("augment.intensity needs the set's mean and std")
        stages["intensity"] = partial(intensity, augment.intensity, mean, std)
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
