"""Networks by name. A builder is a function with keyword-only arguments, registered under its own name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from models.from_timm import timm_network

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])

SET_BY_DATA = ("num_classes", "in_channels", "image_size")
TIMM = "timm/"


@dataclass(frozen=True)
class Entry:
    """A builder, and what is said of its network."""

    builder: Callable[..., nn.Module]
    source: str  # paper and section
    published: str  # parameters as a report prints them, such as "11.17M"; empty where none does
    settled: bool  # False where the published figure does not decide the layers, or cannot be met
    note: str  # what differs from the source, or cannot be settled, and why; empty where nothing does

    @property
    def about(self) -> str:
        """The first line of the builder's docstring."""
        return (inspect.getdoc(self.builder) or "").split("\n")[0]


_ENTRIES: dict[str, Entry] = {}


def register(*, source: str, published: str = "", settled: bool = True, note: str = "") -> Callable[[Builder], Builder]:
    """Make a builder known under its function's name. Raises ValueError for a name registered twice."""

    def keep(builder: Builder) -> Builder:
        name = builder.__name__
        if name in _ENTRIES:
            raise ValueError(f"two networks are called {name!r}")
        _ENTRIES[name] = Entry(builder, source, published, settled, note)
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
    builder = timm_network if name.startswith(TIMM) else _ENTRIES[name].builder
    parameters = inspect.signature(builder).parameters
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
    return _ENTRIES[name].builder(**arguments)


def sketch_model(name: str, **arguments: Any) -> nn.Module:
    """`build_model` on torch's meta device: layers and shapes, no numbers and no random ones drawn."""
    with torch.device("meta"):
        return build_model(name, **arguments)
