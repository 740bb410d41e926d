"""Colour changes of whole batches with a factor per image, equal to torchvision's functions on one image.

On a CPU the jitter has the same changes compiled: `trainer.data.augment.compiled_color`.

They map levels, [N, C, H, W] float32, whole numbers from 0 to 255, to levels with a fraction. `to_bytes` cuts it off,
and so must a chain of them after each, which then rounds where torchvision's does on uint8. They write into their
input. As in torchvision, saturation and hue do not change a grey image (C = 1).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainer.config.augment import ColorJitter
from trainer.data.augment.stage import Change, Epoch

GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, with torchvision's digits
BYTE = 255.999 / 255  # torchvision's conversion of a float to uint8: times 255.999, then the fraction is cut off


def to_levels(images: Tensor) -> Tensor:
    """Convert uint8 [N, C, H, W] to levels, channel by channel in memory, so that operations run over rows."""
    return images.permute(1, 0, 2, 3).to(torch.float32, memory_format=torch.contiguous_format).permute(1, 0, 2, 3)


def to_bytes(levels: Tensor) -> Tensor:
    """Convert levels to uint8 [N, C, H, W], channels last in memory, and cut their fractions off."""
    # By way of int16: a CPU converts a float to it in a quarter of the time that it needs to uint8.
    return torch.stack(levels.to(torch.int16).to(torch.uint8).unbind(1), dim=-1).permute(0, 3, 1, 2)


def adjust_brightness(levels: Tensor, factor: Tensor) -> Tensor:
    """Multiply each level by `factor` [N, 1, 1, 1]."""
    return _cut(levels.mul_(factor))


def adjust_contrast(levels: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from the image's mean grey by `factor` [N, 1, 1, 1]."""
    mean = _grey(levels).mean((1, 2, 3), keepdim=True)
    return _cut(levels.mul_(factor).add_(mean * (1 - factor)))


def adjust_saturation(levels: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from each pixel's grey by `factor` [N, 1, 1, 1]."""
    if levels.shape[1] != 3:
        return levels
    grey = _grey(levels)
    return _cut(levels.mul_(factor).addcmul_(grey, 1 - factor))


def adjust_hue(levels: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue in HSV by `turns` [N, 1, 1, 1] of the colour circle, each at most a half.

    The highest and the lowest level of a pixel stay the same.

    With c = highest - lowest the hue, in sixths of a turn from red towards green, is (c + g + b - r - lowest) / c with
    the sign of g - b. All of it is in units of c, so that nothing is divided. No step checks which channel is the
    highest: on a CPU a branch at every pixel costs more than all of this.
    """
    if levels.shape[1] != 3:
        return levels
    channels = levels.mul_(BYTE).transpose(0, 1)
    r, g, b = channels
    high, low = torch.maximum(r, g), torch.minimum(r, g)
    torch.maximum(high, b, out=high)
    torch.minimum(low, b, out=low)
    chroma = high - low  # 0 where the hue does not matter
    hue = (g + b).sub_(r).sub_(low).add_(chroma).copysign_(g - b).addcmul_(chroma, 6 * turns[:, 0])
    # Red is highest near hue 0 = 6 = -6, green lowest near -1 = 5, blue lowest near 1 = -5; `hue` is in [-6, 6].
    r.copy_(hue)
    torch.add(hue, chroma, out=g)
    torch.sub(hue, chroma, out=b)
    channels.abs_().sub_(chroma * 3).abs_()
    r.add_(low - chroma)
    above = chroma.add_(high)
    torch.sub(above, g, out=g)
    torch.sub(above, b, out=b)
    channels.clamp_(low, high)
    return levels


ADJUST: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def draw_jitter(config: ColorJitter, epoch: Epoch) -> tuple[dict[str, Tensor], list[list[str]]]:
    """Return (factors [N] of each adjustment that is on, their order in each batch)."""
    strengths: dict[str, float] = {name: getattr(config, name) for name in ADJUST}
    limits = {name: (max(0.0, 1 - strength), 1 + strength) for name, strength in strengths.items()}
    limits["hue"] = (-config.hue, config.hue)
    # All four are drawn, on or off, so that turning one off does not change the draw of another.
    factors = {name: epoch.rand(epoch.images, low=low, high=high).float() for name, (low, high) in limits.items()}
    orders = epoch.rand(epoch.batches, len(ADJUST)).argsort(1).tolist()
    names = list(ADJUST)
    on = {name for name in names if strengths[name]}
    return {name: factors[name] for name in on}, [[names[i] for i in order if names[i] in on] for order in orders]


def color_jitter(config: ColorJitter, epoch: Epoch) -> Change:
    """Return the change of each batch: torchvision's ColorJitter with factors drawn per image.

    The order of the four is drawn once per batch, so that each is one operation on all of it.
    """
    factors, orders = draw_jitter(config, epoch)
    factors = {name: epoch.send(drawn) for name, drawn in factors.items()}
    change_batch = changes_on(epoch.device)

    def change(number: int, images: Tensor) -> Tensor:
        names = orders[number]
        return change_batch(images, names, [factors[name][epoch.batch(number)] for name in names])

    return change


def changes_on(device: torch.device) -> Callable[[Tensor, Sequence[str], Sequence[Tensor]], Tensor]:
    """Return what changes batches on a device: `adjust_in_turn`, compiled for a CPU.

    The first call for a CPU takes some two seconds.
    """
    if device.type != "cpu":
        return adjust_in_turn
    from trainer.data.augment.compiled_color import change_colors  # Numba is imported by runs with jitter alone

    return change_colors


def adjust_in_turn(images: Tensor, names: Sequence[str], factors: Sequence[Tensor]) -> Tensor:
    """Return uint8 images [N, C, H, W] after the changes `names` of ADJUST in turn, each by its factors [N]."""
    levels = to_levels(images)
    for name, factor in zip(names, factors, strict=True):
        levels = ADJUST[name](levels, factor.view(-1, 1, 1, 1)).floor_()
    return to_bytes(levels)


def _grey(levels: Tensor) -> Tensor:
    """Return the grey [N, 1, H, W] of levels [N, C, H, W]."""
    if levels.shape[1] == 1:
        return levels
    (r, g, b), (of_r, of_g, of_b) = levels.unbind(1), GREY
    return r.mul(of_r).add_(g, alpha=of_g).add_(b, alpha=of_b).floor_().unsqueeze(1)


def _cut(values: Tensor) -> Tensor:
    return values.clamp_(0, 255)
