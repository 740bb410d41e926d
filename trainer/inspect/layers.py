"""Outputs of a network's layers for given images: maps, statistics, first filters. The network does not change.

N images, C channels, H x W pixels.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from models.network import Network
from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError
from trainer.inspect.predictions import plain

_SHOWN = 4  # layers by default


@contextmanager
def watched(net: nn.Module, see: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Call `see(name, layer, output)` after every layer and container, an inner one before its outer one.

    If there are several outputs, it gets the first.
    """

    def hook_of(name: str) -> Any:
        def hook(layer: nn.Module, _: Any, output: Any) -> None:
            while isinstance(output, tuple | list) and output:
                output = output[0]
            if isinstance(output, Tensor):
                see(name, layer, output)

        return hook

    hooks = [layer.register_forward_hook(hook_of(name)) for name, layer in net.named_modules() if name]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Channels:
    """Finder of the channels of outputs, which come in the order in which layers and containers finish.

    Maps are [N, C, H, W] by default. In some of timm's networks they are [N, H, W, C]: everywhere but in convolutions
    (Swin), or inside a block that ends in linear layers (ConvNeXt). What has no layout of its own, such as an
    activation, has that of what came before it in the same shape.
    """

    def __init__(self, net: nn.Module) -> None:
        self._default = -1 if getattr(net, "output_fmt", "NCHW") == "NHWC" else 1
        self._before: tuple[torch.Size, int] | None = None

    def axis(self, layer: nn.Module, output: Tensor) -> int:
        """Return the axis of an output's channels: 1 or -1."""
        if output.ndim != 4:
            axis = -1
        elif type(layer).__name__.endswith("2d"):  # Conv2d, and timm's LayerNorm2d, which is a LayerNorm
            axis = 1
        elif isinstance(layer, nn.Linear | nn.LayerNorm):
            axis = -1
        elif self._before and self._before[0] == output.shape:
            axis = self._before[1]
        else:
            axis = self._default
        self._before = output.shape, axis
        return axis


@torch.no_grad()
def output_shapes(net: nn.Module, images: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the output shape of each layer and container, in the order in which they finish `images`.

    An output [N, H, W, C] is tokens [N, H W, C].
    """
    shapes: dict[str, tuple[int, ...]] = {}
    channels = _Channels(net)

    def see(name: str, layer: nn.Module, output: Tensor) -> None:
        shapes.pop(name, None)
        last = channels.axis(layer, output) == -1 and output.ndim == 4
        shapes[name] = tuple((output.flatten(1, 2) if last else output).shape)

    with watched(net.eval(), see):
        net(images)
    return shapes


def has_maps(shape: tuple[int, ...]) -> bool:
    """Return whether an output is maps [N, C, h, w] of more than one pixel."""
    return len(shape) == 4 and shape[2] * shape[3] > 1


def _places(shape: tuple[int, ...]) -> int:
    """Return the number of tokens [N, L, C] or of pixels [N, C, h, w]. An output without places is 1."""
    return shape[1] if len(shape) == 3 else prod(shape[2:])


def stages(net: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return at most four parts of a network that make maps: parts of `features`, or the stages of a timm network.

    Empty if the network's last features are not maps.
    """
    if last_maps(net, shapes) is None:
        return []
    prefix = "features." if isinstance(net, Network) else ""
    inside = net.features if isinstance(net, Network) else net
    of_timm = [info["module"] for info in getattr(net, "feature_info", [])]
    parts = of_timm or [prefix + name for name, _ in inside.named_children()]
    with_maps = [name for name in shapes if name in parts and has_maps(shapes[name])]
    if len(with_maps) <= _SHOWN:
        return with_maps
    return [with_maps[round(i * (len(with_maps) - 1) / (_SHOWN - 1))] for i in range(_SHOWN)]


def last_maps(net: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the last layer whose maps have more than one pixel: the last convolutional features.

    It is the last part of a sequence. None if there are no maps, or if tokens come last, as in a vision transformer.
    """
    layers = dict(net.named_modules())
    last = next((name for name in reversed(list(shapes)) if _places(shapes[name]) > 1), None)
    if last is None or not has_maps(shapes[last]):
        return None
    while isinstance(layers[last], nn.Sequential):
        last = f"{last}.{list(layers[last].named_children())[-1][0]}"
    return last


def check_layers(asked: list[str], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ConfigError with a line for each name that is not a layer, or a layer without maps."""
    with_maps = [name for name, shape in shapes.items() if has_maps(shape)]
    unknown = [
        f"--layers: {name!r} has no maps of more than one pixel: its output is {'x'.join(map(str, shapes[name][1:]))}"
        if name in shapes
        else f"--layers: no layer is called {name!r}{did_you_mean(name, with_maps)}"
        for name in asked
        if name not in with_maps
    ]
    if unknown:
        raise ConfigError(*unknown)


@torch.no_grad()
def feature_maps(net: nn.Module, images: Tensor, names: list[str]) -> dict[str, Tensor]:
    """Return the maps [N, C, h, w] float32 of each of these layers, on the CPU, in evaluation mode."""
    maps: dict[str, Tensor] = {}

    def see(name: str, _: nn.Module, output: Tensor) -> None:
        if name in names:
            maps[name] = output.float().to("cpu", copy=True)  # a copy, because the next layer may work in place

    with watched(net.eval(), see):
        net(images)
    return {name: maps[name] for name in names}


@dataclass(frozen=True)
class Filters:
    layer: str
    weights: Tensor  # [F, C, h, w] float32, on the CPU


def first_filters(net: nn.Module, shapes: Mapping[str, tuple[int, ...]], *, channels: int) -> Filters | None:
    """Return the filters of the convolution that sees images of so many channels. None if there is no such layer."""
    layers = dict(net.named_modules())
    first = next((name for name in shapes if any(True for _ in layers[name].parameters(recurse=False))), None)
    conv = layers[first] if first else None
    if not isinstance(conv, nn.Conv2d) or conv.in_channels != channels:
        return None
    return Filters(str(first), conv.weight.detach().float().cpu())


@torch.no_grad()
def statistics(net: nn.Module, images: Tensor) -> list[dict[str, Any]]:
    """Return a row for each layer without inner layers, in the order in which `images` pass them.

    Statistics are over all images, positions and channels of its outputs, and over its weights without biases. Standard
    deviations are a population's. A missing value is null. `dead` is the share of channels (the second axis of maps
    [N, C, H, W], the last axis of other outputs) that are 0 for every image at every position.
    """
    rows: dict[str, dict[str, Any]] = {}
    where = _Channels(net)
    lowest = {name for name, layer in net.named_modules() if not any(True for _ in layer.children())}

    def see(name: str, layer: nn.Module, output: Tensor) -> None:
        axis = where.axis(layer, output)
        if name not in lowest or not output.is_floating_point() or output.ndim < 2:
            return
        values, weight = output.double(), getattr(layer, "weight", None)
        channels = values.transpose(-1, axis).flatten(0, -2)  # [positions, channels]
        own = weight.double() if isinstance(weight, Tensor) else None
        rows[name] = {  # the last use of a layer that is used twice
            "layer": name,
            "kind": type(layer).__name__,
            "shape": list(output.shape[1:]),
            "activation_mean": plain(values.mean().item()),
            "activation_std": plain(values.std(correction=0).item()),
            "dead": (channels == 0).all(0).double().mean().item(),
            "weight_mean": None if own is None else plain(own.mean().item()),
            "weight_std": None if own is None else plain(own.std(correction=0).item()),
            "weight_norm": None if own is None else plain(own.norm().item()),
        }

    with watched(net.eval(), see):
        net(images)
    return list(rows.values())
