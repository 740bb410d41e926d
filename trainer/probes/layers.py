"""The layers of a network that a probe may look at, and which of them a config means."""

from collections.abc import Sequence

from torch import nn

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """By name: every module within that itself holds weights of two or more dimensions, as convolutions and linear
    layers do, frozen or not. In the order in which the network registers them, that of the forward pass but for
    branches, which are parallel there and here in a row."""
    return {name: module for name, module in model.named_modules() if name and weight_dims(module)}


def weight_dims(layer: nn.Module) -> int:
    """Dimensions of a layer's weights: 2 of a linear one, 4 of a convolution of images, 0 where it has no such."""
    return max((p.ndim for p in layer.parameters(recurse=False) if p.ndim > 1), default=0)


def pick_layers(words: Sequence[str], known: Sequence[str], key: str) -> list[str]:
    """The names, of all those `known`, that a config's words mean: a name, or a place from 1; none mean all. In the
    network's order, each once. Raises ConfigError with a line for each word that means none."""
    if not words:
        return list(known)
    meant = {word: word if word in known else _at(word, known) for word in words}
    unknown = [_no_such(word, known, key) for word, name in meant.items() if name is None]
    if unknown:
        raise ConfigError(*unknown)
    return [name for name in known if name in meant.values()]


def _at(place: str, known: Sequence[str]) -> str | None:
    return known[int(place) - 1] if place.isdecimal() and 1 <= int(place) <= len(known) else None


def _no_such(word: str, known: Sequence[str], key: str) -> str:
    if word.isdecimal():
        return f"{key}: {word}: the network has layers 1 to {len(known)}"
    return f"{key}: no layer is called {word!r}{did_you_mean(word, known)}"
