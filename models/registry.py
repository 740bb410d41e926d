"""Networks by name. A builder is a function with keyword-only arguments, registered under its own name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import nn

from models.from_timm import timm_network
from models.layers import Init, Scheme, initialise

Net = TypeVar("Net", bound=nn.Module)

SET_BY_DATA = ("num_classes", "in_channels", "image_size")
TIMM = "timm/"


@dataclass(frozen=True)
class Entry:
    """What is said of a network."""

    name: str
    about: str  # the first line of its builder's docstring
    source: str  # paper and section
    published: str  # parameters as a report prints them, such as "11.17M"; empty where none does
    settled: bool  # False where the published figure does not decide the layers, or cannot be met
    init: Scheme  # what init=paper stands for
    note: str  # what differs from the source, or cannot be settled, and why; empty where nothing does


_INIT = inspect.Parameter("init", inspect.Parameter.KEYWORD_ONLY, default="paper", annotation=Init)
_BUILDERS: dict[str, Callable[..., nn.Module]] = {}
_ENTRIES: dict[str, Entry] = {}


def register(
    *, source: str, init: Scheme, published: str = "", settled: bool = True, note: str = ""
) -> Callable[[Callable[..., Net]], Callable[..., Net]]:
    """Make a builder known under its function's name, with one more argument, `init`: how the weights of what it
    builds are drawn; `paper` is the scheme given here. Raises ValueError for a name registered twice."""
    papers = init

    def keep(build: Callable[..., Net]) -> Callable[..., Net]:
        name = build.__name__
        if name in _ENTRIES:
            raise ValueError(f"two networks are called {name!r}")

        @wraps(build)
        def builder(*, init: Init = "paper", **arguments: Any) -> Net:
            net = build(**arguments)
            initialise(net, papers if init == "paper" else init)
            return net

        own = inspect.signature(build, eval_str=True)
        whole = own.replace(parameters=[*own.parameters.values(), _INIT])
        builder.__signature__ = whole  # pyright: ignore[reportAttributeAccessIssue]
        about = (inspect.getdoc(build) or "").split("\n")[0]
        _BUILDERS[name] = builder
        _ENTRIES[name] = Entry(name, about, source, published, settled, papers, note)
        return builder

    return keep


def model_names() -> list[str]:
    """All registered names; besides them, `timm/NAME` builds any timm network."""
    return sorted(_ENTRIES)


def entry(name: str) -> Entry:
    """Raises KeyError for a name that is not registered."""
    return _ENTRIES[name]


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    """The arguments that a builder takes, those that the data sets included. Raises KeyError for an unknown name."""
    builder = timm_network if name.startswith(TIMM) else _BUILDERS[name]
    parameters = inspect.signature(builder, eval_str=True).parameters
    return {key: each for key, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}


def build_model(
    name: str, *, num_classes: int = 10, in_channels: int = 3, image_size: int = 32, **arguments: Any
) -> nn.Module:
    """A freshly initialised network: images [N, in_channels, image_size, image_size] to logits [N, num_classes].

    Raises KeyError for an unknown name, TypeError for an argument that the builder does not have, and what the builder
    raises for a value that it cannot use.
    """
    from_data = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    asked = parameters_of(name)
    arguments |= {key: value for key, value in from_data.items() if key in asked}
    if name.startswith(TIMM):
        return timm_network(name.removeprefix(TIMM), **arguments)
    return _BUILDERS[name](**arguments)


def sketch_model(name: str, **arguments: Any) -> nn.Module:
    """`build_model` on torch's meta device: layers and shapes, no numbers and no random ones drawn."""
    with torch.device("meta"):
        return build_model(name, **arguments)
