"""Normalisation by the name that you type: `model.norm=group`."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, assert_never

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.layers.ghost_norm import GhostBatchNorm
from models.layers.handmade import HandmadeBatchNorm

Norm = Literal["batch", "ghost", "group", "layer", "none", "handmade"]
NormLayer = Callable[[int], nn.Module]  # number of channels -> layer for [N, C] or [N, C, H, W]


def norm_layer(name: Norm, *, dims: Literal[1, 2] = 2) -> NormLayer:
    """Return what makes a norm from a number of channels. `dims`: 2 for maps [N, C, H, W], 1 for vectors [N, C].

    ghost: groups of 32 images. layer: one group, over channels and places of each image. handmade: BatchNorm
    with a biased running variance. group: 32 groups of channels (Wu & He 2018), or as many as divide both 32 and
    the channels: 2 for 150 channels. 16 or 32 channels are a group each, which is instance norm.
    """
    match name:
        case "batch":
            return nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d
        case "ghost":
            return partial(GhostBatchNorm, ghost_size=32)
        case "group":
            return lambda channels: nn.GroupNorm(math.gcd(32, channels), channels)
        case "layer":
            return lambda channels: nn.GroupNorm(1, channels)
        case "none":
            return lambda _: nn.Identity()
        case "handmade":
            return HandmadeBatchNorm
        case _:
            assert_never(name)


def batch_norms(net: nn.Module) -> list[_BatchNorm | HandmadeBatchNorm]:
    """Return each BatchNorm of a network, ghost and handmade ones among them."""
    return [layer for layer in net.modules() if isinstance(layer, _BatchNorm | HandmadeBatchNorm)]


def set_norm_momentum(net: nn.Module, momentum: float | None) -> None:
    """Set the momentum of each BatchNorm. None leaves the network's own."""
    if momentum is not None:
        for norm in batch_norms(net):
            norm.momentum = momentum
