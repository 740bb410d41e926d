"""Any network of timm's, with its stem made for 32x32 images where its family allows it."""

from typing import Any, Literal, cast

from torch import nn

_POOLS = ("maxpool", "features.pool0", "stem.pool")  # what timm's families call the pooling after the first convolution


def timm_names() -> list[str]:
    """The architectures that timm knows, without `timm/`."""
    import timm  # a second's import that only its networks need

    return timm.list_models()


def timm_network(
    architecture: str,
    *,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    num_classes: int = 10,
    in_channels: int = 3,
    **arguments: Any,
) -> nn.Module:
    """`timm.create_model`; every argument but `stem` is its own.

    stem=cifar: the first convolution becomes 3x3 of stride 1, and a pooling right after it is left out. Raises
    ValueError for a network that does not begin with an overlapping convolution of stride 2.
    """
    import timm

    net = timm.create_model(architecture, num_classes=num_classes, in_chans=in_channels, **arguments)
    if stem == "cifar":
        _shrink_stem(net, architecture)
    return net


def _shrink_stem(net: nn.Module, architecture: str) -> None:
    place = cast("dict[str, Any]", getattr(net, "default_cfg", {})).get("first_conv")
    first = net.get_submodule(place) if isinstance(place, str) else None
    if not isinstance(first, nn.Conv2d) or first.kernel_size[0] <= first.stride[0] or first.stride[0] > 2:
        raise ValueError(f"stem=cifar: {architecture} does not begin with an overlapping convolution of stride 2")
    conv = nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1, bias=first.bias is not None)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    net.set_submodule(cast("str", place), conv)
    for pool in _POOLS:
        if any(pool == name for name, _ in net.named_modules()):
            net.set_submodule(pool, nn.Identity())
