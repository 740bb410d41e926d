"""TrivialAugmentWide and RandAugment: an operation and strength per image, in one call per kind of operation.

Operations, strengths and their application are those of torchvision.transforms.v2, with nearest pixels and black
corners. The result equals its functional operation on each image alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.config.augment import RandAugment, TrivialAugmentWide
from trainer.data.augment.color import adjust_brightness, adjust_contrast, adjust_saturation, to_bytes, to_levels
from trainer.data.augment.stage import Change, Epoch

_BINS = 31  # strengths of each operation
_GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_BLENDS = ("brightness", "color", "contrast", "sharpness")
_OTHERS = ("posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = ("identity", *_GEOMETRIC, *_BLENDS, *_OTHERS)
_KINDS = ("identity", "geometric", *_BLENDS, *_OTHERS)  # each is one call


def auto_augment(config: TrivialAugmentWide | RandAugment, epoch: Epoch) -> Change:
    """Return the change of each batch: one operation per image, or `num_ops` one after the other."""
    rounds = [_in_calls(*drawn, epoch) for drawn in zip(*draw_operations(config, epoch), strict=True)]

    def change(number: int, images: Tensor) -> Tensor:
        for one_round in rounds:
            parts = (whole[epoch.batch(number)].split(one_round.counts[number]) for whole in one_round.sorted)
            for kind, places, amounts, matrices in zip(_KINDS, *parts, strict=True):
                if kind != "identity" and len(places):
                    how = matrices if kind == "geometric" else amounts
                    images[places] = _APPLY[kind](images[places], how)
        return images

    return change


def draw_operations(config: TrivialAugmentWide | RandAugment, epoch: Epoch) -> tuple[Tensor, Tensor]:
    """Return for each round and image (the index in OPERATIONS [R, N], the amount [R, N] float64).

    Amounts are in torchvision's units: pixels, degrees, the addition to a blend's factor of 1, bits kept, or the
    threshold as a share of white.
    """
    rounds = config.num_ops if isinstance(config, RandAugment) else 1
    operations, bins, signs = epoch.rand(3, rounds, epoch.images)
    operations = (operations * len(OPERATIONS)).long()
    bins = torch.full_like(operations, config.magnitude) if isinstance(config, RandAugment) else (bins * _BINS).long()
    signed = torch.tensor([name in _GEOMETRIC + _BLENDS for name in OPERATIONS])[operations]
    amounts = amount_table(config, epoch.height, epoch.width)[operations, bins].double()
    return operations, amounts.where(~signed | (signs < 0.5), -amounts)


def amount_table(config: TrivialAugmentWide | RandAugment, height: int, width: int) -> Tensor:
    """Return the unsigned amounts [operation, strength] float32."""
    match config:
        case TrivialAugmentWide():
            shear, move_x, move_y, degrees, blend, bits = 0.99, 32.0, 32.0, 135.0, 0.99, 6
        case RandAugment():
            shear, move_x, move_y, degrees, blend, bits = 0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, 4
        case _:
            assert_never(config)
    rising = torch.stack([torch.linspace(0, top, _BINS) for top in (shear, shear, move_x, move_y, degrees)])
    blends = torch.linspace(0, blend, _BINS).expand(len(_BLENDS), -1)
    kept = (8 - torch.arange(_BINS) / ((_BINS - 1) / bits)).round()
    unused = torch.zeros(1, _BINS)
    falling = torch.stack([kept, torch.linspace(1, 0, _BINS)])
    return torch.cat([unused, rising, blends, falling, unused, unused])


@dataclass(frozen=True)
class _Round:
    """One operation per image: the images of each batch sorted by kind, and the number of each kind."""

    counts: list[list[int]]  # [batch][kind]
    sorted: tuple[Tensor, Tensor, Tensor]  # place in the batch [N], amount [N, 1, 1, 1], matrix [N, 2, 3]


def _in_calls(operations: Tensor, amounts: Tensor, epoch: Epoch) -> _Round:
    kind_of = torch.tensor([_KINDS.index("geometric" if name in _GEOMETRIC else name) for name in OPERATIONS])
    key = torch.arange(epoch.images) // epoch.batch_size * len(_KINDS) + kind_of[operations]
    order = key.argsort(stable=True)
    counts = key.bincount(minlength=epoch.batches * len(_KINDS)).view(epoch.batches, -1).tolist()
    matrices = _matrices(operations, amounts, epoch.height, epoch.width)
    columns = (order % epoch.batch_size, amounts[order].view(-1, 1, 1, 1).float(), matrices[order].float())
    place, amount, matrix = (epoch.send(column) for column in columns)
    return _Round(counts, (place, amount, matrix))


def _matrices(operations: Tensor, amounts: Tensor, height: int, width: int) -> Tensor:
    """Return [N, 2, 3]: the map from a pixel to its source, in halves of the image's sides from the centre, as in
    affine_grid. Shears do not move the top row and the left column."""
    along = {name: amounts * (operations == OPERATIONS.index(name)) for name in _GEOMETRIC}
    shear_x, shear_y, angle = along["shear_x"], along["shear_y"], along["rotate"].deg2rad()
    down, across = height / 2, width / 2
    x = [angle.cos(), shear_x - angle.sin(), shear_x * down - along["translate_x"].trunc()]
    y = [shear_y + angle.sin(), angle.cos(), shear_y * across - along["translate_y"].trunc()]
    units = amounts.new_tensor([[1, down / across, 1 / across], [across / down, 1, 1 / down]])
    return torch.stack([*x, *y], dim=1).view(-1, 2, 3) * units


def _move(images: Tensor, matrices: Tensor) -> Tensor:
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="nearest", align_corners=False).to(torch.uint8)


def _sharpen(images: Tensor, amounts: Tensor) -> Tensor:
    """Sharpen as Pillow does: move each inner pixel away from the mean of its 3x3 pixels, whose centre has weight 5.

    An image without an inner pixel stays as it is.
    """
    if min(images.shape[-2:]) < 3:
        return images
    levels = images.float()
    inner = levels[..., 1:-1, 1:-1]
    smooth = F.avg_pool2d(levels, 3, stride=1, divisor_override=1).add_(inner, alpha=4).div_(13).round_()
    inner.sub_(smooth.sub_(inner).mul_(amounts))
    return levels.clamp_(0, 255).to(torch.uint8)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    dropped = (8 - bits).to(torch.uint8)
    return images >> dropped << dropped


def _torchvision() -> Any:
    from torchvision.transforms.v2 import functional  # takes seconds, so only if it is needed

    return functional


def _on_levels(adjust: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda images, amounts: to_bytes(adjust(to_levels(images), 1 + amounts))


_APPLY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "geometric": _move,
    "brightness": _on_levels(adjust_brightness),
    "color": _on_levels(adjust_saturation),
    "contrast": _on_levels(adjust_contrast),
    "sharpness": _sharpen,
    "posterize": _posterize,
    "solarize": lambda images, shares: torch.where(images >= 255 * shares, ~images, images),
    "autocontrast": lambda images, _: _torchvision().autocontrast(images),
    "equalize": lambda images, _: _torchvision().equalize(images),
}
