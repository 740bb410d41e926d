"""Gather-excite (Hu et al. 2018, arXiv 1810.12348): each value of a map is weighted by its surroundings."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.norm import NormLayer

Extent = Literal[0, 2, 4, 8]
Theta = Literal["minus", "plain", "plus"]


class GatherExcite(nn.Module):  # [N, C, size, size] -> the same
    """x * sigmoid(excite(gather(x))), with the gate upsampled by nearest neighbours.

    `extent` e: a gate for each e x e pixels, gathered from the 2e - 1 x 2e - 1 around them; 0: one for the whole map.
    `theta` as in the paper's names GE-theta-minus, GE-theta and GE-theta-plus:
    minus: average pooling, no parameters.
    plain: depthwise convolutions, 3x3 of stride 2 for each halving; of the whole map if global.
    plus: plain, then two 1x1 convolutions through C / 16 channels.
    """

    def __init__(
        self, channels: int, *, size: int, extent: Extent = 0, theta: Theta = "plus", norm: NormLayer = nn.BatchNorm2d
    ) -> None:
        """Raises ValueError for an extent that the paper does not have."""
        super().__init__()
        if extent not in get_args(Extent):
            raise ValueError(f"extent={extent}: should be 0 (global), 2, 4 or 8")
        self.extent = extent
        self.gather = _pooling(extent) if theta == "minus" else _convolutions(channels, size, extent, norm)
        self.excite = _bottleneck(channels) if theta == "plus" else nn.Identity()

    def forward(self, input: Tensor) -> Tensor:
        gate = torch.sigmoid(self.excite(self.gather(input)))
        if self.extent:  # a global gate broadcasts
            gate = F.interpolate(gate, size=input.shape[-2:])
        return input * gate


def _pooling(extent: int) -> nn.Module:
    if not extent:
        return nn.AdaptiveAvgPool2d(1)
    return nn.AvgPool2d(2 * extent - 1, stride=extent, padding=extent - 1, count_include_pad=False)


def _convolutions(channels: int, size: int, extent: int, norm: NormLayer) -> nn.Sequential:
    if not extent:
        return nn.Sequential(nn.Conv2d(channels, channels, size, groups=channels, bias=False), norm(channels))
    layers = nn.Sequential()
    for _ in range(extent.bit_length() - 1):
        halving = nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False)
        layers.extend([halving, norm(channels), nn.ReLU()])
    return layers[:-1]


def _bottleneck(channels: int) -> nn.Sequential:
    narrow = max(1, channels // 16)
    return nn.Sequential(
        nn.Conv2d(channels, narrow, 1, bias=False), nn.ReLU(), nn.Conv2d(narrow, channels, 1, bias=False)
    )
