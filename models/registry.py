"""Networks by name. A builder is a function with keyword-only arguments, registered under its own name."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from torch import nn

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])

_BUILDERS: dict[str, Callable[..., nn.Module]] = {}
_SET_BY_DATA = ("num_classes", "in_channels")


def register(builder: Builder) -> Builder:
    """Make a builder known under its function's name. Raises ValueError for a name registered twice."""
    name = builder.__name__
    if name in _BUILDERS:
        raise ValueError(f"two networks are called {name!r}")
    _BUILDERS[name] = builder
    return builder


def model_names() -> list[str]:
    """All registered names; besides them, `timm/NAME` builds any timm network."""
    return sorted(_BUILDERS)


def describe(name: str) -> str:
    """The first line of a builder's docstring."""
    return (inspect.getdoc(_BUILDERS[name]) or "").split("\n")[0]


def build_model(name: str, *, num_classes: int = 10, in_channels: int = 3, **arguments: Any) -> nn.Module:
    """A freshly initialised network: [N, in_channels, H, W] pictures to [N, num_classes] logits.

    Raises ValueError with every problem of the name and the arguments.
    """
    if problems := check_arguments(name, arguments):
        raise ValueError("; ".join(problems))
    if name.startswith("timm/"):
        import timm  # a second's import that only its networks need

        return timm.create_model(name.removeprefix("timm/"), num_classes=num_classes, in_chans=in_channels, **arguments)
    return _BUILDERS[name](num_classes=num_classes, in_channels=in_channels, **arguments)


def check_arguments(name: str, arguments: Mapping[str, Any]) -> list[str]:
    """A line for each problem of a network's name and arguments; none where it can be built."""
    taken = [f"model.{key}: set by the data, not by hand" for key in _SET_BY_DATA if key in arguments]
    if name.startswith("timm/"):
        import timm

        known = timm.list_models()
        architecture = name.removeprefix("timm/").split(".")[0]
        return taken + ([] if architecture in known else [_unknown(name, [f"timm/{each}" for each in known])])
    if name not in _BUILDERS:
        return [*taken, _unknown(name, model_names())]
    parameters = inspect.signature(_BUILDERS[name]).parameters
    own = [key for key in parameters if key not in _SET_BY_DATA]
    for key, value in arguments.items():
        if key in _SET_BY_DATA:
            continue
        if key not in own:
            near = get_close_matches(key, own, n=1)
            taken.append(f"model.{key}: {name} has no such field" + (f"; did you mean {near[0]!r}?" if near else ""))
        elif (wanted := _wrong_type(parameters[key].annotation, value)) is not None:
            taken.append(f"model.{key}: {value!r}: should be {wanted}")
    return taken


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"`trainer models` lists the {len(known)} there are"
    return f"model.name: no network is called {name!r}; {hint}"


def _wrong_type(annotation: Any, value: Any) -> str | None:
    """What a value should have been, where a builder's annotation (int, float, bool, str) says so; else None."""
    wanted = {int: (int,), float: (int, float), bool: (bool,), str: (str,)}.get(annotation)
    if wanted is None or (isinstance(value, wanted) and (annotation is bool or not isinstance(value, bool))):
        return None
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}[annotation]
