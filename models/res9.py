"""Res9 and simp_Res9 of report f2d6, which prints their saved sizes and no layout.

Five plain convolutions and two residual blocks, nine convolutions in all, are the plainest layout that meets both
sizes as MiB of the saved state dict. The places of the poolings are our reading too.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import nn

from models.bounds import KernelSize
from models.layers import Act, Norm, norm_layer
from models.network import Network
from models.registry import register
from models.resnet9 import Residual, conv_norm_act

Unit = Callable[..., nn.Sequential]  # channels in, channels out, kernel size (of 3)
_variant = partial(
    register,
    source="report f2d6, table 2",
    init="torch",
    settled=False,
    note="Our reading: the report prints only a size, in MiB of the saved state dict, which many layouts meet. This is"
    " the plainest that meets those of both res9 and simp_res9.",
)


def _basic(unit: Unit, c: int) -> nn.Sequential:  # [N, c, H, W] -> the same, as _bottleneck
    return nn.Sequential(*unit(c, c), *unit(c, c))


def _bottleneck(unit: Unit, c: int) -> nn.Sequential:
    return nn.Sequential(*unit(c, c // 4, size=1), *unit(c // 4, c // 4), *unit(c // 4, c, size=1))


@_variant(
    "res9",
    block=_basic,
    about="Nine convolutions, with two residual blocks. `stem`: the kernel sizes of the first convolutions.",
    published="8.7 MB",
)
@_variant("simp_res9", block=_bottleneck, about="Res9 with bottlenecks as residual blocks.", published="3.41 MB")
def res9(
    block: Callable[[Unit, int], nn.Sequential],
    *,
    stem: tuple[KernelSize, ...] = (3,),
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """Five plain convolutions and two residual blocks."""
    if not stem or any(size < 1 or size % 2 == 0 for size in stem):
        raise ValueError(f"stem={list(stem)}: should be one or more odd kernel sizes, such as [3] or [3,3,3]")
    unit = partial(conv_norm_act, norm=norm_layer(norm), act=act)
    stem_widths = (in_channels, *[32] * len(stem))

    def residual(c: int) -> nn.Sequential:  # [N, c, H, W] -> the same
        layers = block(unit, c)
        return nn.Sequential(Residual(*layers[:-1]), layers[-1])  # the last activation comes after the sum

    features = {
        "stem": nn.Sequential(
            *[unit(*widths, size=size) for widths, size in zip(pairwise(stem_widths), stem, strict=True)]
        ),
        "block1": unit(32, 64).append(nn.MaxPool2d(2)),
        "block2": unit(64, 128).append(nn.MaxPool2d(2)),
        "residual2": residual(128),
        "block3": unit(128, 192),
        "block4": unit(192, 256).append(nn.MaxPool2d(2)),
        "residual4": residual(256),
    }
    head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256 * 4**2, num_classes))
    return Network(features, head)
