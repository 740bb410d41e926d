"""Images mixed with the ones before them in the batch, and their classes with them: mixup and cutmix."""

from collections.abc import Callable
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from trainer.config.augment import Cutmix, Mixup
from trainer.data.augment.stage import Epoch

MixChange = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(batch's number, images [B, C, H, W] uint8, labels [B]) -> (mixed images, probabilities [B, K] float32)."""


def mixing(config: Mixup | Cutmix, num_classes: int, epoch: Epoch) -> MixChange:
    """Mixup gives float32 images in 0..255, cutmix uint8 ones, also of a batch that is left unmixed."""
    shares, places = draw_mix(config, epoch)
    one_hot = torch.eye(num_classes, device=epoch.device)

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
    """For each batch (the share of an image itself, the relative place of the cut's centre)."""
    chosen = epoch.rand(epoch.batches) < config.probability
    places = epoch.rand(epoch.batches, 2)
    # numpy, because torch's Beta takes no generator
    seed = int(torch.randint(2**63 - 1, (), generator=epoch.draw))
    shares = torch.from_numpy(np.random.default_rng(seed).beta(config.alpha, config.alpha, epoch.batches))
    return shares.where(chosen, 1.0).tolist(), [(down, across) for down, across in places.tolist()]


def mix(values: Tensor, share: float) -> Tensor:
    """`share` of each row of [B, ...] and the rest of the row before it; of the last one for the first."""
    return torch.lerp(_before(values), values, share)


def paste(images: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Write into the box (top, left, bottom, right) of each image what lies there in the one before it."""
    top, left, bottom, right = box
    window = images[..., top:bottom, left:right]
    window.copy_(_before(window))
    return images


def cut_box(share: float, place: tuple[float, float], height: int, width: int) -> tuple[int, int, int, int]:
    """Sides sqrt(1 - share) of the image's about `place`, cut off at the edges (Yun et al. 2019, section 3.1), with
    torchvision's rounding."""
    half = (1 - share) ** 0.5 / 2
    sides = [
        (max(int(at * size) - int(half * size), 0), min(int(at * size) + int(half * size), size))
        for at, size in zip(place, (height, width), strict=True)
    ]
    (top, bottom), (left, right) = sides
    return top, left, bottom, right


def _before(values: Tensor) -> Tensor:
    """Each row's predecessor; the order of a batch is random, so that it is a random other image."""
    return torch.cat([values[-1:], values[:-1]])
