"""Residual networks for 32x32 images (He et al. 2016, arXiv 1512.03385), and what ResNeXt builds on.

timm's blocks are the paper's. `resnet18`, `resnet34` and `resnet50` are its ImageNet networks behind a small stem;
`resnet20`, `resnet56` and `resnet110` are those that it made for CIFAR-10.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import Act, Norm, activation, check_rate, norm_layer
from models.network import Network
from models.registry import register

_SMALL_STEM = "3x3 stem of stride 1 without pooling, for small images; the paper's is 7x7, stride 2, pooled."


@register(
    source="He et al. 2016, table 1; reports b35c, table 7, and f2d6, table 2",
    init="kaiming",
    published="11.17M",
    note=f"{_SMALL_STEM} As Res18 it also meets the size that report f2d6 prints, 42.7 MB.",
)
def resnet18(
    *,
    stochastic_depth: float = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-18 with a 3x3 stem."""
    return residual_network(
        (2, 2, 2, 2),
        stochastic_depth=stochastic_depth,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )


@register(source="He et al. 2016, table 1; report b35c, table 7", init="kaiming", published="21.28M", note=_SMALL_STEM)
def resnet34(
    *,
    stochastic_depth: float = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-34 with a 3x3 stem."""
    return residual_network(
        (3, 4, 6, 3),
        stochastic_depth=stochastic_depth,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )


@register(
    source="He et al. 2016, table 1; report b35c, table 7",
    init="kaiming",
    published="23.52M",
    note=f"{_SMALL_STEM} A block halves the maps in its 3x3 convolution, as torchvision's and timm's do, and the"
    " paper's in the 1x1 before.",
)
def resnet50(
    *,
    stochastic_depth: float = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-50, of bottleneck blocks, with a 3x3 stem."""
    return residual_network(
        (3, 4, 6, 3),
        bottleneck=True,
        stochastic_depth=stochastic_depth,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )


@register(source="He et al. 2016, section 4.2 and table 6", init="kaiming", published="0.27M")
def resnet20(
    *,
    stochastic_depth: float = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """The paper's ResNet-20 for CIFAR-10, of 16-32-64 channels."""
    return _thin(
        depth=3, stochastic_depth=stochastic_depth, act=act, norm=norm, num_classes=num_classes, in_channels=in_channels
    )


@register(source="He et al. 2016, section 4.2 and table 6", init="kaiming", published="0.85M")
def resnet56(
    *,
    stochastic_depth: float = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """The paper's ResNet-56 for CIFAR-10, of 16-32-64 channels."""
    return _thin(
        depth=9, stochastic_depth=stochastic_depth, act=act, norm=norm, num_classes=num_classes, in_channels=in_channels
    )


@register(source="He et al. 2016, section 4.2 and table 6", init="kaiming", published="1.7M")
def resnet110(
    *,
    stochastic_depth: float = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """The paper's ResNet-110 for CIFAR-10, of 16-32-64 channels."""
    return _thin(
        depth=18,
        stochastic_depth=stochastic_depth,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )


class PaddedIdentity(nn.Module):  # [N, c_in, H, W] -> [N, c_out, H/stride, W/stride]
    """Option A of He et al. 2016, section 4.1: the input at every `stride`-th pixel, zeros for the new channels."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = c_out - c_in, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))

    def extra_repr(self) -> str:
        return f"new_channels={self.new_channels}, stride={self.stride}"


def residual_network(
    depths: Sequence[int],
    *,
    act: Act,
    norm: Norm,
    num_classes: int,
    in_channels: int,
    bottleneck: bool = False,
    planes: int = 64,
    stem_width: int = 64,
    stem_kernel: int = 3,
    padded_shortcuts: bool = False,
    gate: Callable[[int, int], nn.Module] | None = None,
    cardinality: int = 1,
    base_width: int = 64,
    pool: int = 1,
    stochastic_depth: float = 0.0,
) -> Network:
    """A stage of blocks for each of `depths`, halving the maps from the second on; then `pool` x `pool` means of the
    maps and a linear head.

    timm's words for its blocks: `planes` is the width of the first stage, doubled at each further one; a bottleneck
    puts out 4 times as many channels, and its 3x3 convolution has `cardinality` groups of `base_width` at 64 planes.
    `padded_shortcuts`: PaddedIdentity where the shape changes, else a 1x1 convolution and a norm.
    `gate(channels, stage)`, stage from 0, comes behind the last norm of a block. `stochastic_depth`: the probability
    with which training leaves out the last block's residual for an image; it grows linearly from the first block's
    (Huang et al. 2016, eq. 4).
    """
    from timm.layers.drop import DropPath  # timm takes a second and torchvision: only where it is needed
    from timm.models.resnet import BasicBlock, Bottleneck

    check_rate(stochastic_depth, "stochastic_depth")

    block: Any = Bottleneck if bottleneck else BasicBlock
    new_norm = norm_layer(norm)
    parts: dict[str, Any] = {  # timm also passes `inplace`, `device` and `dtype`, which ours do not take
        "act_layer": lambda **_: activation(act),
        "norm_layer": lambda channels, **_: new_norm(channels),
        "cardinality": cardinality,
        "base_width": base_width,
    }

    def shortcut(c_in: int, c_out: int, stride: int) -> nn.Module | None:
        if c_in == c_out and stride == 1:
            return None
        if padded_shortcuts:
            return PaddedIdentity(c_in, c_out, stride)
        return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), new_norm(c_out))

    stem = nn.Conv2d(in_channels, stem_width, stem_kernel, padding=stem_kernel // 2, bias=False)
    features: dict[str, nn.Module] = {"stem": nn.Sequential(stem, new_norm(stem_width), activation(act))}
    c_in, number = stem_width, 0
    for stage, depth in enumerate(depths):
        if gate is not None:
            parts["attn_layer"] = lambda channels, stage=stage, **_: gate(channels, stage)
        blocks = nn.Sequential()
        for position in range(depth):
            width, stride = planes * 2**stage, 2 if stage > 0 and position == 0 else 1
            c_out, number = width * block.expansion, number + 1
            drop = DropPath(stochastic_depth * number / sum(depths)) if stochastic_depth else None
            blocks.append(block(c_in, width, stride, shortcut(c_in, c_out, stride), drop_path=drop, **parts))
            c_in = c_out
        features[f"stage{stage + 1}"] = blocks
    classifier = nn.Linear(c_in * pool**2, num_classes)
    return Network(features, nn.Sequential(nn.AdaptiveAvgPool2d(pool), nn.Flatten(), classifier))


def _thin(*, depth: int, stochastic_depth: float, act: Act, norm: Norm, num_classes: int, in_channels: int) -> Network:
    return residual_network(
        (depth, depth, depth),
        planes=16,
        stem_width=16,
        padded_shortcuts=True,
        stochastic_depth=stochastic_depth,
        act=act,
        norm=norm,
        num_classes=num_classes,
        in_channels=in_channels,
    )
