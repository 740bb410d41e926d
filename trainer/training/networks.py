"""From the `model` section to a network: its arguments checked against the builder's signature, then built."""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter
from typing import Any, Literal, Protocol, cast

import torch
from pydantic import ValidationError, create_model
from torch import Tensor, nn

import models
from models.layers import PatchWhitening
from trainer.config import RunConfig
from trainer.config.base import Section, is_settings
from trainer.config.explain import did_you_mean, explain
from trainer.config.model import Model
from trainer.config.optimizer import Timm
from trainer.data.batches import Normalize
from trainer.data.images import ImageSet
from trainer.errors import ConfigError, first_line
from trainer.training.optimizers import build_optimizer

_WHITENED = 5000  # images that a whitening is computed from
_CANNOT_BE_BUILT = (  # what torch and timm raise for arguments that they cannot use
    TypeError, ValueError, RuntimeError, AssertionError, LookupError, AttributeError, ArithmeticError,
)  # fmt: skip
_WEIGHTS = ("pretrained", "checkpoint_path")  # timm's own words for loading trained ones


def complete_parts(settings: Mapping[str, Any], config: RunConfig | None) -> tuple[list[str], dict[str, Any]]:
    """(a line for each problem of the network, also where other keys are wrong, and of timm's optimizer; all arguments
    of the network). `config` is what the settings make, where they are valid."""
    problems: list[str] = []
    arguments: dict[str, Any] = {}
    model = settings.get("model")
    if is_settings(model) and isinstance(name := model.get("name"), str):
        problems, arguments = complete_arguments(name, {key: value for key, value in model.items() if key != "name"})
    if config and isinstance(config.optimizer, Timm):
        try:
            build_optimizer(nn.Linear(2, 2), config.optimizer, fused=False)
        except ConfigError as error:
            problems = [*problems, *error.problems]
    return problems, arguments


class DataShape(Protocol):
    """What a network has to know of a data set."""

    @property
    def num_classes(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def image_size(self) -> int: ...


def complete_arguments(name: str, arguments: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """(a line for each problem of a network's name and arguments, all its arguments as they will be used): one of the
    two is empty."""
    try:
        whole = _read_arguments(name, arguments)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # refused, in words of our own
            _refuse_empty_layers(models.sketch_model(name, **whole))
    except ConfigError as error:
        return list(error.problems), {}
    except _CANNOT_BE_BUILT as error:
        return [_cannot_be_built(name, error)], {}
    return [], whole


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
    with one_line_for_wrong_images(name, image), torch.no_grad():
        net.eval()(image)
    net.train()


def refuse_one_image(net: nn.Module, name: str, shape: DataShape) -> None:
    """Raises ConfigError where a network cannot be trained on a single image, as BatchNorm of a 1x1 map cannot."""
    image = torch.zeros(1, shape.in_channels, shape.image_size, shape.image_size)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            copy.deepcopy(net).to("cpu").train()(image)
    except ValueError as error:
        raise ConfigError(
            f"train.batch_size: leaves a batch or a part of one image, on which {name} cannot be trained: "
            f"{first_line(error)}; set train.drop_last=true, or another size"
        ) from error


@contextmanager
def one_line_for_wrong_images(name: str, images: Tensor) -> Iterator[None]:
    """Raises ConfigError for what a network raises inside for `images` [N, C, H, W] that it does not take."""
    try:
        yield
    except _CANNOT_BE_BUILT as error:
        size = "x".join(map(str, images.shape[1:]))
        raise ConfigError(f"model.name: {name} does not take images of {size}: {first_line(error)}") from error


def options_of(name: str) -> dict[str, Parameter]:
    """The arguments of a network that are keys of the `model` section. Raises ConfigError for an unknown name."""
    if not _is_known(name):
        raise ConfigError(_unknown(name))
    return {key: each for key, each in models.parameters_of(name).items() if key not in models.SET_BY_DATA}


def _read_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` and the defaults of the others, in the types that the builder's signature gives. Raises ConfigError
    with every problem."""
    fields: dict[str, Any] = {key: (each.annotation, each.default) for key, each in options_of(name).items()}
    fields["name"] = (Literal[name], name)
    extra = {"extra": "allow" if name.startswith(models.TIMM) else "forbid"}
    named = create_model(name, __base__=Section, __cls_kwargs__=extra, **fields)
    whole = create_model("Network", __base__=Section, model=(named, ...))
    problems = [f"model.{key}: set by the data, not by hand" for key in models.SET_BY_DATA if key in arguments]
    if name.startswith(models.TIMM):
        said = "no trained weights are loaded, for a run starts from its seed alone"
        problems += [f"model.{key}: {said}" for key in _WEIGHTS if key in arguments]
    own = {key: value for key, value in arguments.items() if key not in models.SET_BY_DATA}
    try:
        read = cast("Any", whole.model_validate({"model": {"name": name, **own}})).model
    except ValidationError as error:
        raise ConfigError(*problems, *explain(error, whole)) from error
    if problems:
        raise ConfigError(*problems)
    return read.model_dump(exclude={"name"})


def _is_known(name: str) -> bool:
    if name.startswith(models.TIMM):
        return name.removeprefix(models.TIMM).split(".")[0] in models.timm_names()  # a dot begins the name of weights
    return name in models.model_names()


def _unknown(name: str) -> str:
    if name.startswith(models.TIMM):
        hint = did_you_mean(name.removeprefix(models.TIMM), models.timm_names(), prefix=models.TIMM)
    else:
        hint = did_you_mean(name, models.model_names())
    return f"model.name: no network is called {name!r}{hint or '; `trainer models` lists them'}"


def _refuse_empty_layers(net: nn.Module) -> None:
    """Torch builds a layer for no channels with no more than a warning. Raises ValueError."""
    for name, parameter in net.named_parameters():
        if not parameter.numel():
            raise ValueError(f"{name.rpartition('.')[0]} is a layer without channels")


def _cannot_be_built(name: str, error: Exception) -> str:
    return f"model: {name} cannot be built so: {first_line(error)}"
