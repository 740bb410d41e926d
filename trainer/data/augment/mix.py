"""Mixup and cutmix: images and classes mixed with those of the previous image in the batch."""

from collections.abc import Callable
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from trainer.config.augment import Cutmix, Mixup
from trainer.data.augment.stage import Epoch

MixChange = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(batch's number, images [B, C, H, W], labels [B]) -> (mixed images, probabilities [B, K] float32).

The images are as `Change` leaves them: uint8, or float32 after `intensity`.
"""


def mixing(config: Mixup | Cutmix, num_classes: int, epoch: Epoch) -> MixChange:
    """Return the change of each batch. Images are float32 for mixup, and as they come for cutmix, mixed or not."""
    shares, places = draw_mix(config, epoch)
    one_hot = epoch.send(torch.eye(num_classes))

    def change(number: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share = shares[number]
        match config:
            case Mixup():
                images = mix(images.float(), share)
            case Cutmix():
                top, left, bottom, right = cut_box(share, places[number], epoch.height, epoch.width)
                images = paste(images, (top, left, bottom, right))
                share = 1 - (bottom - top) * (right - left) / (epoch.height * epoch.width)
            case _:
                assert_never(config)
        return images, mix(one_hot[labels], share)

    return change


def draw_mix(config: Mixup | Cutmix, epoch: Epoch) -> tuple[list[float], list[tuple[float, float]]]:
    """Return for each batch (the share that an image keeps, the relative position of the cut's centre)."""
    chosen = epoch.rand(epoch.batches) < config.probability
    places = epoch.rand(epoch.batches, 2)
    # numpy, because torch's Beta takes no generator
    seed = int(torch.randint(2**63 - 1, (), generator=epoch.draw))
    shares = torch.from_numpy(np.random.default_rng(seed).beta(config.alpha, config.alpha, epoch.batches))
    return shares.where(chosen, 1.0).tolist(), [(down, across) for down, across in places.tolist()]


def mix(values: Tensor, share: float) -> Tensor:
    """Return `share` of each row of [B, ...] plus the rest of the previous row. The first row follows the last."""
    return torch.lerp(_before(values), values, share)


def paste(images: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Copy the box (top, left, bottom, right) of the previous image into each image."""
    top, left, bottom, right = box
    window = images[..., top:bottom, left:right]
    window.copy_(_before(window))
    return images


def cut_box(share: float, place: tuple[float, float], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the box around `place` with sides sqrt(1 - share) of the image's, cut off at the edges.

    Source: Yun et al. 2019, section 3.1, with torchvision's rounding.
    """
    half = (1 - share) ** 0.5 / 2
    sides = [
        (max(int(at * size) - int(half * size), 0), min(int(at * size) + int(half * size), size))
        for at, size in zip(place, (height, width), strict=True)
    ]
    (top, bottom), (left, right) = sides
    return top, left, bottom, right


def _before(values: Tensor) -> Tensor:
    """Return the predecessor of each row. The order of a batch is random, so it is a random other image."""
    return torch.cat([values[-1:], values[:-1]])
