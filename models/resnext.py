"""ResNeXt-29 for 32x32 images (Xie et al. 2017, arXiv 1611.05431), also with gather-excite.

CxWd: a block's 3x3 convolution has C groups of W channels, doubled at each of the three stages.
"""

from collections.abc import Callable
from functools import partial
from math import ceil

from torch import nn

from models.layers import Act, Extent, GatherExcite, Norm, Theta, norm_layer
from models.network import Network
from models.registry import register
from models.resnet import residual_network

_POINT_STEM = "1x1 stem, which the published count of 32x4d demands. The paper's is 3x3."
_variant = partial(
    register,
    source="Xie et al. 2017, arXiv 1611.05431, section 5.3, and report b35c, table 7",
    init="kaiming",
    note=_POINT_STEM,
)


@_variant(
    "resnext29_2x32d",
    groups=2,
    width=32,
    c_out=128,
    published="2.30M",
    about="ResNeXt-29 of 2 groups of 32 channels.",
    note=f"{_POINT_STEM} A stage returns twice the channels of its grouped convolution, 128-256-512, where the paper's"
    " always returns 256-512-1024.",
)
@_variant(
    "resnext29_2x64d", groups=2, width=64, c_out=256, published="9.13M", about="ResNeXt-29 of 2 groups of 64 channels."
)
@_variant(
    "resnext29_32x4d", groups=32, width=4, c_out=256, published="4.77M", about="ResNeXt-29 of 32 groups of 4 channels."
)
def resnext29(
    groups: int,
    width: int,
    c_out: int,
    stem_kernel: int = 1,
    gate: Callable[[int, int], nn.Module] | None = None,
    *,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNeXt-29. `width`, the channels of a group, and `c_out`, the output channels, are those of the first stage."""
    planes = c_out // 4
    return residual_network(
        (3, 3, 3),
        bottleneck=True,
        planes=planes,
        cardinality=groups,
        base_width=64 * width // planes,  # timm's is the width of a group at 64 planes
        stem_kernel=stem_kernel,
        gate=gate,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )


@register(
    source="Hu et al. 2018, arXiv 1810.12348, section 3, Xie et al. 2017, section 5.3, and report b35c, table 7",
    init="kaiming",
    published="36.33M",
    note="No biases in the excite convolutions, which the published count demands, and no ReLU before them, which it"
    " leaves open. The authors' code has both (hujie-frank/GENet, models/RN50-GEPP.prototxt).",
)
def ge_resnext29_8x64d(
    *,
    extent: Extent = 0,
    theta: Theta = "plus",
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """ResNeXt-29 of 8 groups of 64 channels, gather-excite in each block."""

    def gate(channels: int, stage: int) -> GatherExcite:
        size = ceil(image_size / 2**stage)
        return GatherExcite(channels, size=size, extent=extent, theta=theta, norm=norm_layer(norm))

    return resnext29(
        groups=8,
        width=64,
        c_out=256,
        stem_kernel=3,
        gate=gate,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )
