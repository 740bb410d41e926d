"""ResNet-9 for 32x32 images, after D. Page, "How to Train Your ResNet" (2019, davidcpage/cifar10-fast).

N images, C channels, H = W = 32 pixels at the input, K classes. The reports' two forms: `resnet9` (report b35c,
table 8) and `fastresnet9` (table 9), whose blocks pool first, so that norm and activation see a quarter of the pixels.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from models.layers import (
    Act,
    GhostBatchNorm,
    Init,
    Norm,
    NormLayer,
    PatchWhitening,
    PoolTo,
    activation,
    initialise,
    norm_layer,
)
from models.network import Network, Scale
from models.registry import register

Unit = Callable[[int, int], nn.Sequential]  # channels in, channels out


class Residual(nn.Sequential):  # [N, c, H, W] -> [N, c, H, W]
    """x plus its way through the parts."""

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


@register(source="Page 2019, How to Train Your ResNet; report b35c, table 8", published="6.57M")
def resnet9(
    *,
    width: int = 64,
    act: Act = "gelu",
    norm: Norm = "batch",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-9 with BatchNorm and GELU; bias-free convolutions and head. Initialisation: torch's."""
    unit = partial(_conv_norm_act, norm=norm_layer(norm), act=act)

    def halving(c_in: int, c_out: int) -> nn.Sequential:
        return unit(c_in, c_out).append(nn.MaxPool2d(2))

    net = _resnet9(unit(in_channels, width), width, num_classes, unit, halving, logit_scale=1.0)
    initialise(net, init, paper="torch")
    return net


@register(
    source="Page 2019, How to Train Your ResNet; report b35c, table 9",
    published="6.57M",
    note="2,969 of its parameters are never trained: the whitening and the norms' scales.",
)
def fastresnet9(
    *,
    width: int = 64,
    act: Act = "gelu",
    ghost_size: int = 32,
    fixed_scale: bool = True,
    whitening: bool = True,
    pool_first: bool = True,
    logit_scale: float = 0.125,
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """ResNet-9 with whitened patches, ghost BatchNorm of fixed scale, pooling before norm, small logits.

    Each trick can be left out: `ghost_size=0` is BatchNorm over the whole batch. Initialisation: torch's.
    """
    norm = partial(GhostBatchNorm, ghost_size=ghost_size, fixed_scale=fixed_scale)
    unit = partial(_conv_norm_act, norm=norm, act=act)

    def halving(c_in: int, c_out: int) -> nn.Sequential:
        layers = unit(c_in, c_out)
        layers.insert(1 if pool_first else len(layers), nn.MaxPool2d(2))
        return layers

    if whitening:
        mix = nn.Conv2d(9 * in_channels, width, kernel_size=1, bias=False)
        stem = nn.Sequential(PatchWhitening(in_channels), mix, norm(width), activation(act))
    else:
        stem = unit(in_channels, width)
    net = _resnet9(stem, width, num_classes, unit, halving, logit_scale=logit_scale)
    initialise(net, init, paper="torch")
    return net


def _resnet9(stem: nn.Module, w: int, num_classes: int, unit: Unit, halving: Unit, *, logit_scale: float) -> Network:
    """A stem, then three halving blocks with a residual after the first and the last, max pooling, linear head."""
    features = {
        "stem": stem,
        "block1": halving(w, 2 * w),
        "residual1": Residual(unit(2 * w, 2 * w), unit(2 * w, 2 * w)),
        "block2": halving(2 * w, 4 * w),
        "block3": halving(4 * w, 8 * w),
        "residual3": Residual(unit(8 * w, 8 * w), unit(8 * w, 8 * w)),
    }
    classifier = nn.Linear(8 * w, num_classes, bias=False)
    return Network(features, nn.Sequential(PoolTo(1, "max"), nn.Flatten(), classifier, Scale(logit_scale)))


def _conv_norm_act(c_in: int, c_out: int, *, norm: NormLayer, act: Act) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(conv, norm(c_out), activation(act))
