"""The MLP and the CNN of report 44da, with its BatchNorm and dropout, in any order of their layers.

An order is a list, such as `order=[linear,norm,act,dropout]`. If you leave a word out, its layer is left out. `linear`
is the layer with the weights, as in the report's own orders; in the CNN it is a convolution.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, assert_never

from torch import nn

from models.bounds import AboveZero, AnyNumber, Rate, Width
from models.layers import Act, HandmadeBatchNorm, HandmadeDropout, NormLayer, activation
from models.network import Network
from models.registry import register

Layer = Literal["linear", "norm", "act", "dropout"]


@register(
    source="report 44da, baseline section and bonus 1",
    init="torch",
    note="The report does not print its widths: one hidden layer of 512 units is our choice.",
)
def handmade_mlp(
    *,
    order: tuple[Layer, ...] = ("linear", "norm", "act", "dropout"),
    hidden: tuple[Width, ...] = (512,),
    dropout: Rate = 0.25,
    norm_eps: AboveZero = 1e-5,
    norm_momentum: AnyNumber = 0.1,
    unbiased_running_variance: bool = False,
    act: Act = "relu",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """Hidden linear layers, with their parts in any order. `features` are vectors."""
    _check_order(order)
    norm = partial(
        HandmadeBatchNorm,
        eps=norm_eps,
        momentum=norm_momentum,
        unbiased_running_variance=unbiased_running_variance,
    )
    features: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    width = in_channels * image_size**2
    for place, wider in enumerate(hidden, start=1):
        features[f"block{place}"] = _block(
            order, c_in=width, c_out=wider, weighted=nn.Linear, norm=norm, act=act, dropout=dropout
        )
        width = wider
    return Network(features, nn.Sequential(nn.Linear(width, num_classes)))


@register(
    source="report 44da, baseline section and bonus 1",
    init="torch",
    note="The report does not print its widths and kernels: 3x3 convolutions of 64 and 128 channels, each followed by"
    " 2x2 max pooling, are our choice.",
)
def handmade_cnn(
    *,
    order: tuple[Layer, ...] = ("linear", "norm", "act", "dropout"),
    channels: tuple[Width, ...] = (64, 128),
    dropout: Rate = 0.2,
    norm_eps: AboveZero = 1e-5,
    norm_momentum: AnyNumber = 0.1,
    unbiased_running_variance: bool = False,
    act: Act = "relu",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """Convolutions with their parts in any order, each pooled, and a linear head."""
    _check_order(order)
    side = image_size // 2 ** len(channels)
    if side < 1:
        raise ValueError(f"channels={list(channels)}: {len(channels)} poolings leave nothing of {image_size} pixels")
    conv = partial(nn.Conv2d, kernel_size=3, padding=1)
    norm = partial(
        HandmadeBatchNorm,
        eps=norm_eps,
        momentum=norm_momentum,
        unbiased_running_variance=unbiased_running_variance,
    )
    features: dict[str, nn.Module] = {}
    width = in_channels
    for place, wider in enumerate(channels, start=1):
        block = _block(order, c_in=width, c_out=wider, weighted=conv, norm=norm, act=act, dropout=dropout)
        features[f"block{place}"] = block.append(nn.MaxPool2d(2))
        width = wider
    return Network(features, nn.Sequential(nn.Flatten(), nn.Linear(width * side**2, num_classes)))


def _block(
    order: tuple[Layer, ...],
    *,
    c_in: int,
    c_out: int,
    weighted: Callable[[int, int], nn.Module],
    norm: NormLayer,
    act: Act,
    dropout: float,
) -> nn.Sequential:
    layers = nn.Sequential()
    width = c_in  # of the next layer's input: a norm may come before the weights
    for word in order:
        match word:
            case "linear":
                layers.append(weighted(c_in, c_out))
                width = c_out
            case "norm":
                layers.append(norm(width))
            case "act":
                layers.append(activation(act))
            case "dropout":
                layers.append(HandmadeDropout(dropout))
            case _:
                assert_never(word)
    return layers


def _check_order(order: tuple[Layer, ...]) -> None:
    if order.count("linear") != 1:
        raise ValueError(f"order={list(order)}: should name 'linear' exactly once")
