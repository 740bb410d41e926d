"""Networks by the `model` section: arguments are checked against the builder's signature, then the network is built."""

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

_WHITENED = 5000  # images from which a whitening is computed
_CANNOT_BE_BUILT = (  # errors of torch and timm for arguments that they cannot use
    TypeError, ValueError, RuntimeError, AssertionError, LookupError, AttributeError, ArithmeticError,
)  # fmt: skip
_WEIGHTS = ("pretrained", "checkpoint_path")  # timm's arguments that load trained weights


def complete_parts(settings: Mapping[str, Any], config: RunConfig | None) -> tuple[list[str], dict[str, Any]]:
    """Return (a line for each problem of the network and of timm's optimizer, all arguments of the network).

    `config` is the result of the settings, or None if they have other mistakes.
    """
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
    """The sizes of a data set that decide a network's shape."""

    @property
    def num_classes(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def image_size(self) -> int: ...


def complete_arguments(name: str, arguments: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return (a line for each problem of a network's name and arguments, all its arguments as used).

    One of the two is empty.
    """
    try:
        whole = _read_arguments(name, arguments)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Initializing zero-element tensors"
            )  # refused below with a message of our own
            _refuse_empty_layers(models.sketch_model(name, **whole))
    except ConfigError as error:
        return list(error.problems), {}
    except _CANNOT_BE_BUILT as error:
        return [_cannot_be_built(name, error)], {}
    return [], whole


def build_network(model: Model, shape: DataShape) -> nn.Module:
    """Build and initialise the network for a data set. Raises ConfigError if it does not fit the images."""
    from_data = {key: getattr(shape, key) for key in models.SET_BY_DATA}
    arguments = _read_arguments(model.name, model.arguments)
    try:
        return models.build_model(model.name, **from_data, **arguments)
    except _CANNOT_BE_BUILT as error:
        raise ConfigError(_cannot_be_built(model.name, error)) from error


def initial_network(model: Model, image_set: ImageSet, *, seed: int) -> nn.Module:
    """Return the network at the start of training, on the CPU.

    Its weights depend on `seed` alone, its whitening is computed from the training images. Raises ConfigError if the
    network does not take them.
    """
    torch.manual_seed(seed)
    net = build_network(model, image_set)
    _try_out(net, model.name, image_set)
    every = max(1, len(image_set.train) // _WHITENED)  # evenly over the set, since some sources are sorted by class
    for layer in net.modules():
        if isinstance(layer, PatchWhitening):
            layer.fit(Normalize(image_set.mean, image_set.std)(image_set.train.images[::every]))
    return net


def _try_out(net: nn.Module, name: str, shape: DataShape) -> None:
    """Run one image through the network, so that a wrong size is one line before training and not a traceback later."""
    image = torch.zeros(1, shape.in_channels, shape.image_size, shape.image_size)
    with one_line_for_wrong_images(name, image), torch.no_grad():
        net.eval()(image)
    net.train()


def refuse_one_image(net: nn.Module, name: str, shape: DataShape) -> None:
    """Raise ConfigError if a network cannot be trained on a single image, such as BatchNorm on a 1x1 map."""
    image = torch.zeros(1, shape.in_channels, shape.image_size, shape.image_size)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            copy.deepcopy(net).to("cpu").train()(image)
    except ValueError as error:
        raise ConfigError(
            f"train.batch_size: one batch or part has a single image, on which {name} cannot be trained: "
            f"{first_line(error)}; set train.drop_last=true, or another size"
        ) from error


@contextmanager
def one_line_for_wrong_images(name: str, images: Tensor) -> Iterator[None]:
    """Turn any error of a network about `images` [N, C, H, W] into a ConfigError of one line."""
    try:
        yield
    except _CANNOT_BE_BUILT as error:
        size = "x".join(map(str, images.shape[1:]))
        raise ConfigError(f"model.name: {name} does not take images of {size}: {first_line(error)}") from error


def options_of(name: str) -> dict[str, Parameter]:
    """Return the network's arguments that are keys of the `model` section. Raises ConfigError for an unknown name."""
    if not _is_known(name):
        raise ConfigError(_unknown(name))
    return {key: each for key, each in models.parameters_of(name).items() if key not in models.SET_BY_DATA}


def _read_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments, with defaults, in the types of the builder's signature.

    Raises ConfigError with every problem.
    """
    fields: dict[str, Any] = {key: (each.annotation, each.default) for key, each in options_of(name).items()}
    fields["name"] = (Literal[name], name)
    extra = {"extra": "allow" if name.startswith(models.TIMM) else "forbid"}
    named = create_model(name, __base__=Section, __cls_kwargs__=extra, **fields)
    whole = create_model("Network", __base__=Section, model=(named, ...))
    problems = [f"model.{key}: set by the data, remove it" for key in models.SET_BY_DATA if key in arguments]
    if name.startswith(models.TIMM):
        reason = "trained weights cannot be loaded: a run depends on its seed alone"
        problems += [f"model.{key}: {reason}" for key in _WEIGHTS if key in arguments]
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
        return name.removeprefix(models.TIMM).split(".")[0] in models.timm_names()  # weights are named after a dot
    return name in models.model_names()


def _unknown(name: str) -> str:
    if name.startswith(models.TIMM):
        hint = did_you_mean(name.removeprefix(models.TIMM), models.timm_names(), prefix=models.TIMM)
    else:
        hint = did_you_mean(name, models.model_names())
    return f"model.name: no network is called {name!r}{hint or '; `trainer models` lists them'}"


def _refuse_empty_layers(net: nn.Module) -> None:
    """Raise ValueError for a layer without channels. Torch only warns about it."""
    for name, parameter in net.named_parameters():
        if not parameter.numel():
            raise ValueError(f"{name.rpartition('.')[0]} is a layer without channels")


def _cannot_be_built(name: str, error: Exception) -> str:
    return f"model: {name} cannot be built with these arguments: {first_line(error)}"
