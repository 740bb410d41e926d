"""Colour jitter of images in a CPU's memory: all changes of one image while its pixels are in the nearest cache.

The functions of `trainer.data.augment.color` take an operation of torch for each step of the arithmetic. On a CPU these
cost more than the arithmetic (docs/lab-notes.md, 2026-11-30, compiled jitter). Numba compiles the same steps when this
is imported, and calls of it run side by side without Python's lock. The bits are the same on every processor.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.augment.color import ADJUST, BYTE, GREY

CHANGES = tuple(ADJUST)
"""In the order of their numbers in `_change`."""

_OF_RED, _OF_GREEN, _OF_BLUE = (np.float32(share) for share in GREY)
_BYTE = np.float32(BYTE)
_0, _1, _3, _6, _255 = (np.float32(number) for number in (0, 1, 3, 6, 255))


def change_colors(images: Tensor, names: Sequence[str], factors: Sequence[Tensor]) -> Tensor:
    """Return uint8 images [N, C, H, W] of a CPU after the changes `names` of CHANGES, one after another.

    `factors` are [N] float32 each. It writes into `images` if they are channels last in memory. A grey image (C = 1)
    has no saturation and no hue to change. Other than 1 or 3 channels have brightness alone.
    """
    rows = images.permute(0, 2, 3, 1).contiguous()
    on = [i for i, name in enumerate(names) if images.shape[1] == 3 or name in ("brightness", "contrast")]
    if on:
        numbers = np.array([CHANGES.index(names[i]) for i in on])
        _change(rows.flatten(1, 2).numpy(), torch.stack([factors[i] for i in on], 1).numpy(), numbers)
    return rows.permute(0, 3, 1, 2)


@njit(inline="always")
def _between(level: np.float32, low: np.float32, high: np.float32) -> np.float32:
    return np.floor(min(max(level, low), high))


@njit(inline="always")
def _cut(level: np.float32) -> np.float32:
    return _between(level, _0, _255)


@njit(inline="always")
def _grey(red: np.float32, green: np.float32, blue: np.float32) -> np.float32:
    return np.floor(red * _OF_RED + green * _OF_GREEN + blue * _OF_BLUE)


@njit("void(uint8[:, :, ::1], float32[:, ::1], int64[::1])", nogil=True, error_model="numpy")
def _change(images: NDArray[np.uint8], factors: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
    """Change images [N, H * W, C] in place, each by its factors [N, K] of the K changes `numbers`."""
    count, pixels, channels = images.shape
    levels = np.empty((channels, pixels), np.float32)  # a row per channel, so that a loop over it takes many at once
    red, green, blue = levels[0], levels[1 % channels], levels[2 % channels]
    for image in range(count):
        for channel in range(channels):
            for i in range(pixels):
                levels[channel, i] = images[image, i, channel]
        for k in range(len(numbers)):
            factor = factors[image, k]
            if numbers[k] == 0:
                for channel in range(channels):
                    for i in range(pixels):
                        levels[channel, i] = _cut(levels[channel, i] * factor)
            elif numbers[k] == 1:
                total = 0
                for i in range(pixels):
                    total += np.int32(red[i] if channels == 1 else _grey(red[i], green[i], blue[i]))
                centre = np.float32(total) / np.float32(pixels) * (_1 - factor)
                for channel in range(channels):
                    for i in range(pixels):
                        levels[channel, i] = _cut(levels[channel, i] * factor + centre)
            elif numbers[k] == 2:
                for i in range(pixels):
                    grey = _grey(red[i], green[i], blue[i]) * (_1 - factor)
                    red[i] = _cut(red[i] * factor + grey)
                    green[i] = _cut(green[i] * factor + grey)
                    blue[i] = _cut(blue[i] * factor + grey)
            else:  # `trainer.data.augment.color.adjust_hue` explains these steps
                for i in range(pixels):
                    r, g, b = red[i] * _BYTE, green[i] * _BYTE, blue[i] * _BYTE
                    high, low = max(max(r, g), b), min(min(r, g), b)
                    chroma = high - low
                    hue = g + b - r - low + chroma
                    hue = (hue if g >= b else -hue) + chroma * (_6 * factor)
                    red[i] = _between(abs(abs(hue) - _3 * chroma) + (low - chroma), low, high)
                    green[i] = _between(high + chroma - abs(abs(hue + chroma) - _3 * chroma), low, high)
                    blue[i] = _between(high + chroma - abs(abs(hue - chroma) - _3 * chroma), low, high)
        for channel in range(channels):
            for i in range(pixels):
                images[image, i, channel] = np.uint8(np.int32(levels[channel, i]))
