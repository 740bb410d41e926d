"""Random erasing and cutout: a rectangle of each image is overwritten."""

import math
from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor

from trainer.config.augment import Cutout, RandomErasing
from trainer.data.augment.stage import Change, Epoch

_TRIES = 10  # draws of a rectangle before an image is left whole, as in torchvision


def erasing(config: RandomErasing | Cutout, mean: Sequence[float], epoch: Epoch) -> Change:
    """Return the change of each batch: one filled rectangle per image. `mean` [C] is a fraction of white."""
    rows, columns = (epoch.send(mask) for mask in _masks(draw_boxes(config, epoch), epoch, channels=len(mean)))
    levels = [round(255 * share) if config.fill == "mean" else 0 for share in mean]
    fill = epoch.send(torch.tensor(levels, dtype=torch.uint8).repeat(epoch.width)) if any(levels) else None

    def change(number: int, images: Tensor) -> Tensor:
        now = epoch.batch(number)
        # Arithmetic on whole rows of bytes: a CPU handles 64 at once, but fills a mask one by one.
        inside = rows[now].unsqueeze(2) * columns[now].unsqueeze(1)  # [N, H, W * C], 255 or 0
        flat = images.permute(0, 2, 3, 1).flatten(2)  # a view, since channels are last in memory
        flat &= ~inside
        if fill is not None:
            flat |= inside & fill
        return flat.unflatten(2, (epoch.width, len(mean))).permute(0, 3, 1, 2)

    return change


def _masks(boxes: Tensor, epoch: Epoch, *, channels: int) -> tuple[Tensor, Tensor]:
    """Return ([N, H], [N, W * C]) uint8, whose product is 255 inside the boxes [4, N] and 0 outside."""
    top, left, bottom, right = boxes.unsqueeze(-1)  # [N, 1] each
    row, column = torch.arange(epoch.height), torch.arange(epoch.width).repeat_interleave(channels)
    rows, columns = (top <= row) & (row < bottom), (left <= column) & (column < right)
    return rows.byte() * 255, columns.byte()


def draw_boxes(config: RandomErasing | Cutout, epoch: Epoch) -> Tensor:
    """Return [4, N] int64: top, left, bottom, right of each image's rectangle, or 0 if it has none."""
    chosen = epoch.rand(epoch.images) < config.probability
    match config:
        case RandomErasing():
            boxes = _random_rectangles(config, epoch)
        case Cutout():
            boxes = _squares(config, epoch)
        case _:
            assert_never(config)
    return boxes * chosen


def _random_rectangles(config: RandomErasing, epoch: Epoch) -> Tensor:
    """Return torchvision's RandomErasing.get_params for each image: the first of ten rectangles that is smaller than
    the image both ways, or none."""
    low, high = config.scale
    area = epoch.rand(_TRIES, epoch.images, low=low, high=high) * epoch.height * epoch.width
    low, high = map(math.log, config.ratio)
    ratio = epoch.rand(_TRIES, epoch.images, low=low, high=high).exp()
    down, across = epoch.rand(2, epoch.images)
    height, width = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()  # [tries, N]
    fits = (height < epoch.height) & (width < epoch.width)
    first = fits.byte().argmax(dim=0, keepdim=True)
    height, width, fits = (values.gather(0, first)[0] for values in (height, width, fits))
    top = (down * (epoch.height - height + 1)).floor()
    left = (across * (epoch.width - width + 1)).floor()
    return (torch.stack([top, left, top + height, left + width]) * fits).long()


def _squares(config: Cutout, epoch: Epoch) -> Tensor:
    sides = torch.tensor([[epoch.height], [epoch.width]])
    corner = (epoch.rand(2, epoch.images) * sides).long() - config.size // 2
    limits = torch.zeros_like(sides), sides
    return torch.cat([corner.clamp(*limits), (corner + config.size).clamp(*limits)])
