"""The layers of a network that a probe can measure, and the choice of some by a config."""

from collections.abc import Sequence

from torch import nn

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return by name every module with own weights of two or more dimensions, such as convolutions and linear layers.

    Frozen ones are included. Their order is that in which the network registers them, which is the order of the forward
    pass, except that parallel branches follow one another.
    """
    return {name: module for name, module in model.named_modules() if name and weight_dims(module)}


def weight_dims(layer: nn.Module) -> int:
    """Return the dimensions of a layer's weights: 2 for a linear layer, 4 for a 2-d convolution, 0 if it has none."""
    return max((p.ndim for p in layer.parameters(recurse=False) if p.ndim > 1), default=0)


def pick_layers(asked: Sequence[str], known: Sequence[str], key: str) -> list[str]:
    """Return the `known` names that a config asks for, by name or by number from 1, each once in the network's order.

    If nothing is asked for, that is all. Raises ConfigError with a line for each unknown one.
    """
    if not asked:
        return list(known)
    names = {text: text if text in known else _at(text, known) for text in asked}
    unknown = [_no_such(text, known, key) for text, name in names.items() if name is None]
    if unknown:
        raise ConfigError(*unknown)
    return [name for name in known if name in names.values()]


def _at(number: str, known: Sequence[str]) -> str | None:
    return known[int(number) - 1] if number.isdecimal() and 1 <= int(number) <= len(known) else None


def _no_such(text: str, known: Sequence[str], key: str) -> str:
    if text.isdecimal():
        return f"{key}: {text}: the network has layers 1 to {len(known)}"
    return f"{key}: no layer is called {text!r}{did_you_mean(text, known)}"
