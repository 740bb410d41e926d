"""`shapes10`: ten classes that are drawn without a download, for demos, CI and first tests.

A figure of random size, place, tilt and colours is drawn among coloured chips on shaded paper, with noise. Eight
classes are named by the outline (disc, ring, square, triangle, star, cross, heart, moon), filled with a smooth ramp of
two inks. Two are named by the texture (striped, checkered). Their outline is a disc, square, triangle or heart. Images
keep their class if they are mirrored or moved by four pixels, so the trainer's flip and crop are fair.

Neither colour, brightness nor area identifies a class. Inks are drawn in the same way for all, every outline has the
area of the same disc and its centroid in the middle, and a texture shows as much of either ink as a ramp does. A linear
model only has a blurred silhouette, since 85 % of the figures are lighter than their paper. A convolution finds edges.
The numbers under "The difficulty" were chosen by hand until networks ranked in this order and stayed below 100 %.
Test accuracy, all 10,000 + 2,000 images (2-core x86-64 without bfloat16, torch 2.15.0 CPU, float32, one run each with
data seed 0 and training seed 0; batch 100, SGD, one-cycle to 0.1, for the MLP to 0.02):

    logistic regression, LBFGS, best of 3 weight decays*   21.1 %    (data seed 1: 22.5 %)
    MLP 3072-128-10, 20 epochs                             38.8 %
    four convolutions 8-16-32-64, 5 epochs                 92.9 %
    four convolutions 16-32-64-128, 5 epochs               95.6 %
    ResNet-9 of width 16, 5 epochs                         96.5 %
    ResNet-9 of width 16, 5 epochs with flip and crop      97.1 %
    * chosen on the test images, in the linear model's favour

Everything is numpy, a block of images at a time, on all cores.

N images, B = 100 images of a block, C = 3 channels, H = W = 32 pixels; lengths are pixels, colours fractions of white.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import pi
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from trainer.data.images import ImageSet, Split, mean_and_std
from trainer.threads import cores

Floats = NDArray[np.floating[Any]]
Outline = Callable[[Floats, Floats], Floats]

_SIZE = 32
_BLOCK = 100  # images with a generator of their own; small enough to stay in the cache, a multiple of ten classes
_TINTS = 2 * pi / 3 * np.arange(3, dtype=np.float32)[:, None, None]  # [C, 1, 1] position of a channel on the hue circle

# The difficulty; a pair is the ends of a uniform draw, one for each image.
_RADIUS = (4.8, 8.5)  # of the disc that has the figure's area
_JITTER = 4.0  # of the figure's centre, either way along both axes
_TILT = 0.6  # radians, either way; half of the figures are mirrored as well
_LIGHT_ON_DARK = 0.85  # share of the images; the others are dark on light
_PAPER, _DIM_INK, _BRIGHT_INK = (0.05, 0.45), (0.50, 0.69), (0.76, 0.95)  # grey levels
_PERIOD = (4.5, 7.0)  # of stripes and checks
_CHIPS_BEHIND, _CHIPS_IN_FRONT = 5, 1
_NOISE = (0.02, 0.11)  # standard deviation


def draw_shapes10(train: int = 10_000, test: int = 2_000, *, seed: int = 0) -> ImageSet:
    """Return `train` + `test` images, the same bits for the same `seed` on one machine and one release of numpy.

    No other random state is read or changed. Fewer images are a prefix of more. Any ten from a multiple of ten on
    contain each class once, so the classes are balanced to within one image. Each split has a stream of its own.
    `mean` and `std` are those of the train images drawn.
    """
    if train < 1 or test < 1:
        raise ValueError(f"shapes10 needs at least one image in each split, not train={train}, test={test}")
    splits = [_draw_split(n, seed, stream) for stream, n in enumerate((train, test))]
    return ImageSet("shapes10", CLASS_NAMES, *mean_and_std(splits[0].images), train=splits[0], test=splits[1])


def _draw_split(n: int, seed: int, stream: int) -> Split:
    """Return the first `n` images of a stream. Block b depends on (seed, stream, b) alone, hence the prefixes."""
    seeds = [SeedSequence(seed, spawn_key=(stream, b)) for b in range(-(-n // _BLOCK))]
    with ThreadPoolExecutor(cores()) as threads:
        blocks = list(threads.map(_draw_block, seeds))
    images, labels = (torch.from_numpy(np.concatenate(parts)[:n]) for parts in zip(*blocks, strict=True))
    return Split(images, labels)


def _draw_block(seed: SeedSequence) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # [B, C, H, W], [B]
    """Draw a block from back to front: paper, chips, the figure, chips, noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permuted(np.tile(np.arange(10, dtype=np.int64), (_BLOCK // 10, 1)), axis=1).ravel()
    papers, inks = _palette(rng)
    across, _ = _frame(rng, jitter=0, tilt=pi)
    images = _blend(*papers, _ramp(across / _SIZE))
    for _ in range(_CHIPS_BEHIND):
        _lay(images, _chip(rng), _colours(rng, 0.05, 0.95))
    opacity, share = _figure(rng, labels)
    _lay(images, opacity, _blend(*inks, share))
    for _ in range(_CHIPS_IN_FRONT):
        _lay(images, _chip(rng), _colours(rng, 0.05, 0.95))
    images += _uniform(rng, *_NOISE)[:, None] * rng.standard_normal(images.shape, dtype=np.float32)
    images *= 255
    images += 0.5  # so that the cast rounds
    return np.clip(images, 0, 255, out=images).astype(np.uint8), labels


def _figure(rng: Generator, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:  # [B, H, W] twice
    """Return the figure's opacity and the second ink's share in it: a ramp, stripes or checks, half on average."""
    radius, wave = _uniform(rng, *_RADIUS), 2 * pi / _uniform(rng, *_PERIOD)
    shape = np.where(labels < len(_OUTLINES), labels, rng.choice(_SOLID, _BLOCK))
    u, v = _frame(rng, _JITTER, _TILT)
    u *= rng.choice(np.array([-1, 1], np.float32), (_BLOCK, 1, 1))
    distance = np.empty_like(u)
    for k, outline in enumerate(_OUTLINES.values()):
        rows = shape == k
        distance[rows] = outline(u[rows] / radius[rows], -v[rows] / radius[rows]) * radius[rows]
    s, t = _frame(rng, jitter=4, tilt=pi)
    share = s / (2 * radius)
    rows = labels == CLASS_NAMES.index("striped")
    share[rows] = 1.2 * np.sin(s[rows] * wave[rows])
    rows = labels == CLASS_NAMES.index("checkered")
    share[rows] = 2 * np.sin(s[rows] * wave[rows]) * np.sin(t[rows] * wave[rows])
    return _ramp(-distance), _ramp(share)


def _chip(rng: Generator) -> Floats:  # [B, H, W]
    """A small disc cut off on two opposite sides: from dot to bar."""
    u, v = _frame(rng, jitter=_SIZE / 2, tilt=pi)
    return _ramp(np.minimum(_uniform(rng, 2, 5) - _length(u, v), _uniform(rng, 0.7, 3) - np.abs(v)))


def _palette(
    rng: Generator,
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:  # 2 papers, 2 inks, each [B, C, 1, 1]
    """Return inks that are lighter than the papers, or the negatives of all four."""
    negative = rng.random((_BLOCK, 1, 1, 1)) > _LIGHT_ON_DARK
    greys = (_PAPER, _PAPER, _DIM_INK, _BRIGHT_INK)
    a, b, c, d = (np.where(negative, 1 - c, c) for c in (_colours(rng, *grey) for grey in greys))
    return (a, b), (c, d)


def _colours(rng: Generator, low: float, high: float) -> Floats:  # [B, C, 1, 1]
    """Return a grey from `low` to `high` with a tint of any hue that keeps the mean over the channels."""
    grey, tint, hue = (_uniform(rng, *ends)[:, None] for ends in ((low, high), (0.05, 0.3), (0, 2 * pi)))
    return grey + tint * np.cos(hue + _TINTS)


def _blend(a: Floats, b: Floats, share: Floats) -> Floats:  # [B, C, 1, 1] twice, [B, H, W] -> [B, C, H, W]
    mixed = (b - a) * share[:, None]
    mixed += a
    return mixed


def _lay(images: Floats, opacity: Floats, colour: Floats) -> None:
    """Lay a colour over the images, in place."""
    change = colour - images
    change *= opacity[:, None]
    images += change


def _frame(rng: Generator, jitter: float, tilt: float) -> tuple[Floats, Floats]:  # [B, H, W] twice
    """Return pixel coordinates around a random point near the middle, turned by up to `tilt` either way."""
    pixels = np.arange(_SIZE, dtype=np.float32) - (_SIZE - 1) / 2
    x, y = pixels - _uniform(rng, -jitter, jitter), pixels[:, None] - _uniform(rng, -jitter, jitter)
    angle = _uniform(rng, -tilt, tilt)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _uniform(rng: Generator, low: float, high: float) -> Floats:  # [B, 1, 1]
    return rng.random((_BLOCK, 1, 1), dtype=np.float32) * np.float32(high - low) + np.float32(low)


def _ramp(x: Floats) -> Floats:
    """Map -1/2 to 1/2 onto 0 to 1, in place: an edge one pixel wide if `x` is a distance."""
    x += 0.5
    return np.clip(x, 0, 1, out=x)


def _length(u: Floats, v: Floats) -> Floats:
    return np.sqrt(u * u + v * v)


# u to the right, v up, both [n, H, W] -> [n, H, W] distance to an outline, or a little less off its corners; negative
# inside. Every area is pi, that of the unit disc, and every centroid is the origin.


def _disc(u: Floats, v: Floats) -> Floats:
    return _length(u, v) - 1


def _ring(u: Floats, v: Floats) -> Floats:
    return np.abs(_length(u, v) - 0.9282) - 0.2693


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8862


def _triangle(u: Floats, v: Floats) -> Floats:
    return np.maximum(0.8660 * np.abs(u) + 0.5 * v, -v) - 0.7776


def _star(u: Floats, v: Floats) -> Floats:
    """Folded to half a ray, whose edge is one line from the tip at 1.541 to the notch at 0.45 of it."""
    fold = np.abs((np.arctan2(u, v) + pi / 5) % (2 * pi / 5) - pi / 5)
    return _length(u, v) * np.cos(fold - 1.1766) - 0.5917


def _cross(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.maximum(np.abs(u), np.abs(v)) - 1.1662, np.minimum(np.abs(u), np.abs(v)) - 0.4082)


def _heart(u: Floats, v: Floats) -> Floats:
    """A square on its corner, a half disc on each of its upper sides."""
    u, v = np.abs(u), v + 0.294
    return np.minimum(0.7071 * (u + np.abs(v)), _length(u - 0.4690, v - 0.4690)) - 0.6632


def _moon(u: Floats, v: Floats) -> Floats:
    """A disc with a disc 0.8 times its size cut out, half its radius off the centre."""
    return np.maximum(_length(u - 0.553, v) - 1.4332, 1.1466 - _length(u - 1.2696, v))


_OUTLINES: dict[str, Outline] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "moon": _moon,
}
_SOLID = [list(_OUTLINES).index(name) for name in ("disc", "square", "triangle", "heart")]  # room for a texture
CLASS_NAMES = (*_OUTLINES, "striped", "checkered")
