"""Networks by name. One builder makes a whole family; `register` binds what makes each variant."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.from_timm import timm_network
from models.layers import Init, Scheme, initialise, set_norm_momentum

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])

SET_BY_DATA = ("num_classes", "in_channels", "image_size")
TIMM = "timm/"


@dataclass(frozen=True)
class Entry:
    """The description of a network."""

    name: str
    about: str  # one sentence or two
    source: str  # paper and section
    published: str  # parameters as a report prints them, such as "11.17M"; empty if no report does
    settled: bool  # False if the published figure does not decide the layers, or cannot be met
    init: Scheme  # the scheme behind init=paper
    note: str  # differences from the source, open questions and reasons; may be empty


_INIT = inspect.Parameter("init", inspect.Parameter.KEYWORD_ONLY, default="paper", annotation=Init)
_BUILDERS: dict[str, Callable[..., nn.Module]] = {}
_ENTRIES: dict[str, Entry] = {}


def register(
    name: str = "",
    *,
    source: str,
    init: Scheme,
    about: str = "",
    published: str = "",
    settled: bool = True,
    note: str = "",
    defaults: Mapping[str, Any] | None = None,
    **variant: Any,
) -> Callable[[Builder], Builder]:
    """Register a builder with the arguments of `variant` bound; stack it for a table of variants.

    The keyword-only arguments that are not bound are the network's own; `defaults` replaces some of their defaults.
    Each network takes one more, `init`, the scheme that draws its weights; `paper` is the one given here. `name` is the
    function's name if left out, and `about` the first paragraph of its docstring.

    Raises ValueError for a name registered twice, TypeError for a variant that the builder does not take.
    """
    papers, own_defaults = init, dict(defaults or {})

    def keep(build: Builder) -> Builder:
        called = name or build.__name__
        if called in _ENTRIES:
            raise ValueError(f"two networks are called {called!r}")
        whole = inspect.signature(build, eval_str=True)
        whole.bind_partial(**variant, **own_defaults)
        takes = [
            parameter.replace(default=own_defaults.get(key, parameter.default))
            for key, parameter in whole.parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and key not in variant
        ]
        signature = inspect.Signature([*takes, _INIT])

        def builder(*, init: Init = "paper", **arguments: Any) -> nn.Module:
            signature.bind(**arguments)
            net = build(**variant, **(own_defaults | arguments))
            initialise(net, papers if init == "paper" else init)
            return net

        builder.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
        paragraph = (inspect.getdoc(build) or "").split("\n\n")[0]
        _BUILDERS[called] = builder
        _ENTRIES[called] = Entry(called, about or " ".join(paragraph.split()), source, published, settled, papers, note)
        return build

    return keep


def model_names() -> list[str]:
    """Return all registered names. `timm/NAME` also builds any timm network."""
    return sorted(_ENTRIES)


def entry(name: str) -> Entry:
    """Return the description of a network. Raises KeyError for a name that is not registered."""
    return _ENTRIES[name]


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    """Return the arguments of a network, with those that the data sets. Raises KeyError for an unknown name."""
    builder = timm_network if name.startswith(TIMM) else _BUILDERS[name]
    parameters = inspect.signature(builder, eval_str=True).parameters
    return {key: each for key, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}


def build_model(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    norm_momentum: float | None = None,
    **arguments: Any,
) -> nn.Module:
    """Return a freshly initialised network: images [N, in_channels, image_size, image_size] to logits [N, num_classes].

    `norm_momentum` is that of each BatchNorm, None the network's own. Raises KeyError for an unknown name, TypeError
    for an argument that the network does not take, and the builder's own errors for a value that it cannot use.
    """
    from_data = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    asked = parameters_of(name)
    if norm_momentum is not None and "norm_momentum" in asked:
        arguments["norm_momentum"] = norm_momentum
    arguments |= {key: value for key, value in from_data.items() if key in asked}
    net = timm_network(name.removeprefix(TIMM), **arguments) if name.startswith(TIMM) else _BUILDERS[name](**arguments)
    set_norm_momentum(net, norm_momentum)
    return net


def sketch_model(name: str, **arguments: Any) -> nn.Module:
    """Return `build_model` on torch's meta device: layers and shapes without numbers. Draws no random ones."""
    with torch.device("meta"), _Undrawn():
        return build_model(name, **arguments)


_DRAWS = {Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_}


class _Undrawn(TorchFunctionMode):
    """Skips what fills a tensor on meta in place. It has no effect there, and takes most of the time of a sketch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _DRAWS and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
