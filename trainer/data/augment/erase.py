"""A rectangle of each image overwritten: random erasing and cutout."""

import math
from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor

from trainer.config.augment import Cutout, RandomErasing
from trainer.data.augment.stage import Change, Epoch

_TRIES = 10  # torchvision's: draws of a rectangle before an image is left whole


def erasing(config: RandomErasing | Cutout, mean: Sequence[float], epoch: Epoch) -> Change:
    """One rectangle an image, filled as `config` says; `mean` [C] is a fraction of white."""
    boxes = draw_boxes(config, epoch).to(epoch.device)
    levels = [round(255 * share) if config.fill == "mean" else 0 for share in mean]
    return lambda number, images: erase(images, boxes[:, epoch.batch(number)], levels)


def erase(images: Tensor, boxes: Tensor, levels: Sequence[int]) -> Tensor:
    """Write `levels` [C] into the `boxes` [4, N], top, left, bottom, right, of images [N, C, H, W], in place."""
    top, left, bottom, right = boxes.unsqueeze(-1)  # [N, 1] each
    row, column = (torch.arange(size, device=images.device) for size in images.shape[-2:])
    rows, columns = (top <= row) & (row < bottom), (left <= column) & (column < right)  # [N, H], [N, W]
    inside = rows.unsqueeze(2) & columns.unsqueeze(1)  # [N, H, W]
    for channel, level in zip(images.unbind(1), levels, strict=True):
        channel.masked_fill_(inside, level)
    return images


def draw_boxes(config: RandomErasing | Cutout, epoch: Epoch) -> Tensor:
    """[4, N] int64: top, left, bottom, right of each image's rectangle, 0 where it has none."""
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
    """torchvision's RandomErasing.get_params for each image: the first of ten rectangles that is smaller than the
    image both ways, or none."""
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
