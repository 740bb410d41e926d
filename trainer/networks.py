"""From the `model` section to a network: its arguments checked against the builder's signature, then built."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, Protocol, cast

import torch
from pydantic import ValidationError, create_model
from torch import nn

import models
from models.layers import PatchWhitening
from trainer.config.base import Section
from trainer.config.explain import did_you_mean, explain
from trainer.config.model import Model
from trainer.data.batches import Normalize
from trainer.data.images import ImageSet
from trainer.errors import ConfigError, first_line

_WHITENED = 5000  # images that a whitening is computed from
_CANNOT_BE_BUILT = (TypeError, ValueError, RuntimeError, AssertionError)  # what torch and timm raise for wrong numbers


class DataShape(Protocol):
    """What a network has to know of a data set."""

    @property
    def num_classes(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def image_size(self) -> int: ...


def check_network(name: str, arguments: Mapping[str, Any]) -> list[str]:
    """A line for each problem of a network's name and arguments; none where it can be built."""
    try:
        models.sketch_model(name, **_read_arguments(name, arguments))
    except ConfigError as error:
        return list(error.problems)
    except _CANNOT_BE_BUILT as error:
        return [_cannot_be_built(name, error)]
    return []


def build_network(model: Model, shape: DataShape) -> nn.Module:
    """The freshly initialised network for a data set. Raises ConfigError where it does not take its images."""
    from_data = {key: getattr(shape, key) for key in models.SET_BY_DATA}
    arguments = _read_arguments(model.name, model.arguments)
    try:
        return models.build_model(model.name, **from_data, **arguments)
    except _CANNOT_BE_BUILT as error:
        raise ConfigError(_cannot_be_built(model.name, error)) from error


def initial_network(model: Model, image_set: ImageSet, *, seed: int) -> nn.Module:
    """The network as training finds it: initialised from `seed` alone, on the CPU, its whitening computed from the
    training images. Raises ConfigError where it does not take them."""
    torch.manual_seed(seed)
    net = build_network(model, image_set)
    _try_out(net, model.name, image_set)
    every = max(1, len(image_set.train) // _WHITENED)  # evenly over the set: some sources are sorted by class
    for layer in net.modules():
        if isinstance(layer, PatchWhitening):
            layer.fit(Normalize(image_set.mean, image_set.std)(image_set.train.images[::every]))
    return net


def _try_out(net: nn.Module, name: str, shape: DataShape) -> None:
    """One image through the network, so that one too small for it is a line before training, not a traceback in it."""
    image = torch.zeros(1, shape.in_channels, shape.image_size, shape.image_size)
    try:
        with torch.no_grad():
            net.eval()(image)
    except _CANNOT_BE_BUILT as error:
        size = "x".join(map(str, image.shape[1:]))
        raise ConfigError(f"model.name: {name} does not take images of {size}: {first_line(error)}") from error
    net.train()


def _read_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` in the types that the builder's signature gives. Raises ConfigError with every problem."""
    if not _is_known(name):
        raise ConfigError(_unknown(name))
    fields: dict[str, Any] = {
        key: (parameter.annotation, parameter.default)
        for key, parameter in models.parameters_of(name).items()
        if key not in models.SET_BY_DATA
    }
    fields["name"] = (Literal[name], name)
    extra = {"extra": "allow" if name.startswith(models.TIMM) else "forbid"}
    named = create_model(name, __base__=Section, __cls_kwargs__=extra, **fields)
    whole = create_model("Network", __base__=Section, model=(named, ...))
    problems = [f"model.{key}: set by the data, not by hand" for key in models.SET_BY_DATA if key in arguments]
    own = {key: value for key, value in arguments.items() if key not in models.SET_BY_DATA}
    try:
        read = cast("Any", whole.model_validate({"model": {"name": name, **own}})).model
    except ValidationError as error:
        raise ConfigError(*problems, *explain(error, whole)) from error
    if problems:
        raise ConfigError(*problems)
    return {key: getattr(read, key) for key in own}


def _is_known(name: str) -> bool:
    if name.startswith(models.TIMM):
        return name.removeprefix(models.TIMM).split(".")[0] in models.timm_names()  # a dot begins the name of weights
    return name in models.model_names()


def _unknown(name: str) -> str:
    if name.startswith(models.TIMM):
        near = get_close_matches(name.removeprefix(models.TIMM), models.timm_names(), n=1)
        hint = f"; did you mean {models.TIMM + near[0]!r}?" if near else ""
    else:
        hint = did_you_mean(name, models.model_names()) or "; `trainer models` lists them"
    return f"model.name: no network is called {name!r}{hint}"


def _cannot_be_built(name: str, error: Exception) -> str:
    return f"model: {name} cannot be built so: {first_line(error)}"
