"""Residual networks for 32x32 images (He et al. 2016, arXiv 1512.03385), and the base of ResNeXt.

timm's blocks are the paper's. `resnet18`, `resnet34` and `resnet50` are its ImageNet networks behind a small stem.
`resnet20`, `resnet56` and `resnet110` are its networks for CIFAR-10.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from models.bounds import Rate
from models.layers import Act, Norm, NormLayer, activation, check_rate, norm_layer
from models.network import Network
from models.registry import register

_SMALL_STEM = "3x3 stem of stride 1 without pooling, for small images. The paper's is 7x7, stride 2, pooled."
_imagenet = partial(
    register, source="He et al. 2016, table 1, and report b35c, table 7", init="kaiming", note=_SMALL_STEM
)
_cifar = partial(
    register,
    planes=16,
    stem_width=16,
    padded_shortcuts=True,
    source="He et al. 2016, section 4.2 and table 6",
    init="kaiming",
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


@_imagenet(
    "resnet18",
    depths=(2, 2, 2, 2),
    about="ResNet-18 with a 3x3 stem.",
    source="He et al. 2016, table 1, and reports b35c, table 7, and f2d6, table 2",
    published="11.17M",
    note=f"{_SMALL_STEM} As Res18 it also meets the size that report f2d6 prints, 42.7 MB.",
)
@_imagenet("resnet34", depths=(3, 4, 6, 3), about="ResNet-34 with a 3x3 stem.", published="21.28M")
@_imagenet(
    "resnet50",
    depths=(3, 4, 6, 3),
    bottleneck=True,
    about="ResNet-50, of bottleneck blocks, with a 3x3 stem.",
    published="23.52M",
    note=f"{_SMALL_STEM} A block halves the maps in its 3x3 convolution, as in torchvision and timm. The paper's"
    " does so in the 1x1 convolution before it.",
)
@_cifar("resnet20", depths=(3, 3, 3), published="0.27M", about="ResNet-20 for CIFAR-10, of 16-32-64 channels.")
@_cifar("resnet56", depths=(9, 9, 9), published="0.85M", about="ResNet-56 for CIFAR-10, of 16-32-64 channels.")
@_cifar("resnet110", depths=(18, 18, 18), published="1.7M", about="ResNet-110 for CIFAR-10, of 16-32-64 channels.")
def residual_network(
    depths: Sequence[int],
    bottleneck: bool = False,
    planes: int = 64,
    stem_width: int = 64,
    stem_kernel: int = 3,
    padded_shortcuts: bool = False,
    gate: Callable[[int, int], nn.Module] | None = None,
    cardinality: int = 1,
    base_width: int = 64,
    pool: int = 1,
    *,
    stochastic_depth: Rate = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """Residual network with a stage of blocks for each of `depths`; each stage after the first halves the maps.

    The head is `pool` x `pool` means of the maps and a linear layer. `planes`, `cardinality` and `base_width` are
    timm's names: `planes` is the width of the first stage, doubled at each further one. A bottleneck returns 4 times as
    many channels, and its 3x3 convolution has `cardinality` groups of `base_width` channels at 64 planes.

    `padded_shortcuts`: PaddedIdentity where the shape changes, else a 1x1 convolution and a norm.
    `gate(channels, stage)`, stage from 0, follows the last norm of a block.
    `stochastic_depth`: the probability with which training leaves out the last block's residual for an image; it grows
    linearly from the first block's (Huang et al. 2016, eq. 4).
    """
    check_rate(stochastic_depth, "stochastic_depth")
    new_norm = norm_layer(norm)
    timms: dict[str, Any] = {  # timm also passes `inplace`, `device` and `dtype`, which ours do not take
        "act_layer": lambda **_: activation(act),
        "norm_layer": lambda channels, **_: new_norm(channels),
        "cardinality": cardinality,
        "base_width": base_width,
    }
    new_stage = partial(_stage, bottleneck=bottleneck, padded_shortcuts=padded_shortcuts, norm=new_norm)
    rates = [stochastic_depth * number / sum(depths) for number in range(1, sum(depths) + 1)]
    stem = nn.Conv2d(in_channels, stem_width, stem_kernel, padding=stem_kernel // 2, bias=False)
    features: dict[str, nn.Module] = {"stem": nn.Sequential(stem, new_norm(stem_width), activation(act))}
    c_in = stem_width
    for stage, depth in enumerate(depths):
        if gate is not None:
            timms["attn_layer"] = lambda channels, stage=stage, **_: gate(channels, stage)
        now, rates = rates[:depth], rates[depth:]
        blocks, c_in = new_stage(c_in, planes * 2**stage, 2 if stage else 1, now, **timms)
        features[f"stage{stage + 1}"] = blocks
    classifier = nn.Linear(c_in * pool**2, num_classes)
    return Network(features, nn.Sequential(nn.AdaptiveAvgPool2d(pool), nn.Flatten(), classifier))


def _stage(
    c_in: int,
    width: int,
    stride: int,
    drop_rates: Sequence[float],
    *,
    bottleneck: bool,
    padded_shortcuts: bool,
    norm: NormLayer,
    **timms: Any,
) -> tuple[nn.Sequential, int]:
    """Return a block for each of `drop_rates`, the first with `stride`, and the number of their output channels."""
    from timm.layers.drop import DropPath  # timm takes a second and torchvision: only where it is needed
    from timm.models.resnet import BasicBlock, Bottleneck

    block: Any = Bottleneck if bottleneck else BasicBlock
    c_out = width * block.expansion
    blocks = nn.Sequential()
    for rate in drop_rates:
        if c_in == c_out and stride == 1:
            shortcut = None
        elif padded_shortcuts:
            shortcut = PaddedIdentity(c_in, c_out, stride)
        else:
            shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), norm(c_out))
        drop = DropPath(rate) if rate else None
        blocks.append(block(c_in, width, stride, shortcut, drop_path=drop, **timms))
        c_in, stride = c_out, 1
    return blocks, c_out
