"""ResNet-9 for 32x32 images, after D. Page, "How to Train Your ResNet" (2019, davidcpage/cifar10-fast).

N images, C channels, H = W = 32 pixels at the input, K classes. The reports' two forms: `resnet9` (report b35c,
table 8) and `fastresnet9` (table 9), whose blocks pool first, so that norm and activation see a quarter of the pixels.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bounds import AnyNumber, GhostSize, Width
from models.layers import (
    Act,
    GhostBatchNorm,
    Norm,
    NormLayer,
    PatchWhitening,
    activation,
    norm_layer,
)
from models.network import Network, Scale
from models.registry import register

Unit = Callable[[int, int], nn.Sequential]  # channels in, channels out


class Residual(nn.Sequential):  # [N, c, H, W] -> [N, c, H, W]
    """The input plus the output of the parts."""

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


class WhitenedStem(nn.Sequential):  # [N, c_in, H, W] -> [N, c_out, H, W]
    """Whitening, 1x1 convolution, norm, activation.

    A GPU trains the first two as one 3x3 convolution, since nothing is between them and kernels for 27 channels are
    slow. So does torch.compile. Without gradients they are two, whose outputs one may look at.
    """

    def __init__(self, in_channels: int, width: int, norm: NormLayer, act: Act) -> None:
        mix = nn.Conv2d(9 * in_channels, width, kernel_size=1, bias=False)
        super().__init__(PatchWhitening(in_channels), mix, norm(width), activation(act))

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled() and (input.is_cuda or torch.compiler.is_compiling())):
            return super().forward(input)
        whitening, mix, norm, act = self
        assert isinstance(whitening, PatchWhitening) and isinstance(mix, nn.Conv2d)
        with torch.autocast(input.device.type, enabled=False):  # so that only the product is rounded
            filters = mix.weight.flatten(1) @ whitening.weight.flatten(1)
        filters = filters.view(-1, *whitening.weight.shape[1:])
        return act(norm(F.conv2d(input, filters, padding=whitening.padding)))


@register(
    source="Page 2019, How to Train Your ResNet, and report b35c, table 8",
    init="torch",
    published="6.57M",
    note="GELU is the report's choice; Page has ReLU, later CELU. His factor of 0.125 on the logits is only in"
    " fastresnet9, as in the report's public code.",
)
def resnet9(
    *,
    width: Width = 64,
    act: Act = "gelu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-9 with BatchNorm and GELU, bias-free convolutions and head."""
    unit = partial(conv_norm_act, norm=norm_layer(norm), act=act)

    def halving(c_in: int, c_out: int) -> nn.Sequential:
        return unit(c_in, c_out).append(nn.MaxPool2d(2))

    return _resnet9(unit(in_channels, width), width=width, unit=unit, halving=halving, num_classes=num_classes)


@register(
    source="Page 2019, How to Train Your ResNet, and report b35c, table 9",
    init="torch",
    published="6.57M",
    note="2,969 of its parameters are never trained: the whitening and the norms' scales. GELU as in the report's"
    " public code; Page has CELU. No `norm` argument: it is ghost BatchNorm, whose options are arguments.",
)
def fastresnet9(
    *,
    width: Width = 64,
    act: Act = "gelu",
    ghost_size: GhostSize = 32,
    fixed_scale: bool = True,
    whitening: bool = True,
    pool_first: bool = True,
    logit_scale: AnyNumber = 0.125,
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-9 with whitened patches, ghost BatchNorm of fixed scale, pooling before norm, small logits.

    You can leave out each trick: `ghost_size=0` is BatchNorm over the whole batch.
    """
    norm = partial(GhostBatchNorm, ghost_size=ghost_size, fixed_scale=fixed_scale)
    unit = partial(conv_norm_act, norm=norm, act=act)

    def halving(c_in: int, c_out: int) -> nn.Sequential:
        layers = unit(c_in, c_out)
        layers.insert(1 if pool_first else len(layers), nn.MaxPool2d(2))
        return layers

    stem = WhitenedStem(in_channels, width, norm, act) if whitening else unit(in_channels, width)
    return _resnet9(stem, width=width, unit=unit, halving=halving, num_classes=num_classes, logit_scale=logit_scale)


def _resnet9(
    stem: nn.Module, *, width: int, unit: Unit, halving: Unit, num_classes: int, logit_scale: float = 1.0
) -> Network:
    """A stem, then three halving blocks with a residual after the first and the last, max pooling, linear head."""
    features = {
        "stem": stem,
        "block1": halving(width, 2 * width),
        "residual1": Residual(unit(2 * width, 2 * width), unit(2 * width, 2 * width)),
        "block2": halving(2 * width, 4 * width),
        "block3": halving(4 * width, 8 * width),
        "residual3": Residual(unit(8 * width, 8 * width), unit(8 * width, 8 * width)),
    }
    classifier = nn.Linear(8 * width, num_classes, bias=False)
    return Network(features, nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), classifier, Scale(logit_scale)))


def conv_norm_act(c_in: int, c_out: int, size: int = 3, *, norm: NormLayer, act: Act) -> nn.Sequential:
    """Return a convolution of an odd size that keeps the sides, with its norm and activation."""
    conv = nn.Conv2d(c_in, c_out, kernel_size=size, padding=size // 2, bias=False)
    return nn.Sequential(conv, norm(c_out), activation(act))
