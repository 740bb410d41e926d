"""Any timm network, with a stem for 32x32 images if its family allows it."""

from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from torch import nn

from models.measure import LayerUse, layers_in_use

OURS = "cifar_sweeps"
"""The one architecture of timm's that builds the networks of this package (in_timm.py)."""


def timm_names() -> list[str]:
    """Return the architectures that timm knows, without `timm/`."""
    import timm  # takes a second: only for its networks

    return timm.list_models(exclude_filters=OURS)  # which it knows once `models.in_timm` is imported


def timm_network(
    architecture: str,
    *,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    num_classes: int = 10,
    in_channels: int = 3,
    **arguments: Any,
) -> nn.Module:
    """Return `timm.create_model(architecture, ...)`. Every argument but `stem` is timm's.

    stem=cifar: the first convolution becomes 3x3 of stride 1, and the pooling that follows before any further stride is
    removed. Raises ValueError for a network that does not begin with an overlapping plain convolution of stride 2, or
    that then does not take 32x32 images.
    """
    import timm

    net = timm.create_model(architecture, num_classes=num_classes, in_chans=in_channels, **arguments)
    if stem == "cifar":
        _shrink_stem(net, architecture)
    return net


def _shrink_stem(net: nn.Module, architecture: str) -> None:
    from timm.layers.conv2d_same import Conv2dSame

    place = cast("dict[str, Any]", getattr(net, "default_cfg", {})).get("first_conv")
    first = dict(net.named_modules()).get(place) if isinstance(place, str) else None
    # Exact types only: a subclass may do more to its weights, such as standardise them.
    plain = first if isinstance(first, nn.Conv2d) and type(first) in (nn.Conv2d, Conv2dSame) else None
    if plain is None or plain.stride[0] != 2 or plain.kernel_size[0] <= 2:
        raise ValueError(f"stem=cifar: {architecture} does not begin with an overlapping plain convolution of stride 2")
    conv = nn.Conv2d(plain.in_channels, plain.out_channels, 3, padding=1, bias=plain.bias is not None)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    net.set_submodule(cast("str", place), conv)
    for pool in _stem_pools(_use(net, conv, architecture)):
        net.set_submodule(pool, nn.Identity())
    _use(net, conv, architecture)


def _use(net: nn.Module, first: nn.Conv2d, architecture: str) -> list[LayerUse]:
    image = torch.zeros(1, first.in_channels, 32, 32, device=first.weight.device)
    try:
        return layers_in_use(net, image)
    except Exception as error:  # timm's families raise nearly anything for images that they do not take
        raise ValueError(
            f"stem=cifar: {architecture} does not take images of 32x32: {str(error) or type(error).__name__}"
        ) from error


def _stem_pools(used: Iterable[LayerUse]) -> list[str]:
    """Return the poolings up to the first layer that strides, or none if that layer is no pooling."""
    from timm.layers.blur_pool import BlurPool2d

    pools: list[str] = []
    for name, layer, _ in used:
        is_pool = isinstance(layer, nn.MaxPool2d | nn.AvgPool2d | BlurPool2d)
        if is_pool:
            pools.append(name)
        if getattr(layer, "stride", 1) not in (1, (1, 1)):
            return pools if is_pool else []
    return []
