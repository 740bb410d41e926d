"""Networks by the `model` section, whose arguments are checked first (network_arguments.py)."""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

import models
from models.layers import GhostBatchNorm, PatchWhitening, batch_norms, set_norm_momentum
from trainer.config.model import Model
from trainer.config.optimizer import Optimizer
from trainer.config.own import is_own
from trainer.data.batches import Normalize
from trainer.data.images import ImageSet
from trainer.errors import ConfigError, first_line
from trainer.own import parts as own
from trainer.seeds import draws_forgotten, seed_shared
from trainer.training.network_arguments import read_arguments
from trainer.training.optimizers.groups import missing_groups

_WHITENED = 5000  # images from which a whitening is computed
_CANNOT_BE_BUILT = (  # errors of torch and timm for arguments that they cannot use
    TypeError, ValueError, RuntimeError, AssertionError, LookupError, AttributeError, ArithmeticError,
)  # fmt: skip


class DataShape(Protocol):
    """The sizes of a data set that decide a network's shape."""

    @property
    def num_classes(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def image_size(self) -> int: ...


def refuse_impossible(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise ConfigError if a network cannot be built with these arguments."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # refused by a message of our own
            _refuse_empty_layers(models.sketch_model(name, **arguments))
    except _CANNOT_BE_BUILT as error:
        raise ConfigError(_cannot_be_built(name, error)) from error


def unmet(model: Model, optimizer: Optimizer) -> list[str]:
    """Return a line for each thing that keys ask of a network beside its arguments, and that it lacks.

    They are a BatchNorm and groups of one parameter. The arguments are known to build the network.
    """
    net = models.sketch_model(model.name, **model.arguments)
    return [*_without_norm(net, model), *missing_groups(net, optimizer)]


def build_network(model: Model, shape: DataShape) -> nn.Module:
    """Build and initialise the network for a data set. Raises ConfigError if it does not fit the images."""
    from_data = {key: getattr(shape, key) for key in models.SET_BY_DATA}
    if is_own("model", model.name):
        net = _own_network(model, from_data)
        set_norm_momentum(net, model.norm_momentum)
    else:
        arguments: dict[str, Any] = {
            **from_data,
            **read_arguments(model.name, model.arguments),
            "norm_momentum": model.norm_momentum,
        }
        try:
            net = models.build_model(model.name, **arguments)
        except _CANNOT_BE_BUILT as error:
            raise ConfigError(_cannot_be_built(model.name, error)) from error
    if problems := _without_norm(net, model):
        raise ConfigError(*problems)
    return net


def _without_norm(net: nn.Module, model: Model) -> list[str]:
    if model.norm_momentum is None or batch_norms(net):
        return []
    if not is_own("model", model.name) and "norm_momentum" in models.parameters_of(model.name):
        return []  # it is in each resolved config of such a network, whose order of layers may have no norm
    return [f"model.norm_momentum: {model.name} has no BatchNorm; leave it out"]


def drawn_network(model: Model, image_set: ImageSet, *, seed: int, sides: Sequence[int] = ()) -> nn.Module:
    """Return the network at the start of training, on the CPU, without its whitening, which `fit_whitening` computes.

    Its weights depend on `seed` alone. Raises ConfigError if the network does not take the images, or not with one of
    `sides`, or makes no logits of them.
    """
    seed_shared(seed)
    net = build_network(model, image_set)
    if is_own("model", model.name):
        try_own_network(net, model, image_set)
    else:
        _try_out(net, model.name, image_set, image_set.image_size)
    for side in sides:
        _try_out(net, model.name, image_set, side)
    return net


def fit_whitening(net: nn.Module, image_set: ImageSet) -> None:
    """Compute the whitening of a network on the CPU, if it has one, from the training images."""
    every = max(1, len(image_set.train) // _WHITENED)  # evenly over the set, since some sources are sorted by class
    for layer in net.modules():
        if isinstance(layer, PatchWhitening):
            layer.fit(Normalize(image_set.mean, image_set.std)(image_set.train.images[::every]))


def _own_network(model: Model, from_data: Mapping[str, int]) -> nn.Module:
    source = own.source_of("model", model)
    net = own.build("model", model, **from_data)
    if not isinstance(net, nn.Module):
        raise source.mistake(f"builds {own.described(net)}, not a network (torch.nn.Module)")
    if not any(p.requires_grad for p in net.parameters()):
        raise source.mistake("has no parameter that is trained")
    return net


def try_own_network(net: nn.Module, model: Model, shape: DataShape) -> None:
    """Raise ConfigError unless two random images become finite logits [2, K] in evaluation. Leaves it in training.

    On the meta device only the shape is known. No generator moves on.
    """
    source, size = own.source_of("model", model), (shape.in_channels, shape.image_size, shape.image_size)
    device = next(net.parameters()).device
    refusal = own.in_a_line(source, f"does not take images of {'x'.join(map(str, size))}")
    with refusal, draws_forgotten(), torch.no_grad():
        logits = net.eval()(torch.randn(2, *size, device=device))
    if not _are_logits(logits, 2, shape):
        raise source.mistake(f"makes {own.described(logits)} of 2 images, not logits [2, {shape.num_classes}]")
    if not device.type == "meta" and not logits.isfinite().all():
        raise source.mistake("makes NaN or infinite logits of random images, before any training")
    net.train()


def _try_out(net: nn.Module, name: str, shape: DataShape, side: int) -> None:
    """Run one image through the network, so that a mistake is one line before training and not a traceback later.

    Raises ConfigError for a wrong size, and for what are no logits [1, K].
    """
    image = torch.zeros(1, shape.in_channels, side, side)
    with one_line_for_wrong_images(name, image), torch.no_grad():
        logits = net.eval()(image)
    if not _are_logits(logits, 1, shape):
        made = own.described(logits)
        raise ConfigError(f"model: {name} makes {made} of 1 image, not logits [1, {shape.num_classes}]")
    net.train()


def _are_logits(made: Any, images: int, shape: DataShape) -> bool:
    return isinstance(made, Tensor) and made.shape == (images, shape.num_classes)


def refuse_one_image(net: nn.Module, name: str, size: Sequence[int]) -> None:
    """Raise ConfigError if a network cannot be trained on a single image [C, H, W], such as BatchNorm on a 1x1 map."""
    if error := _error_in_training(net, 1, size):
        raise ConfigError(
            f"train.batch_size: one batch or part has a single image, on which {name} cannot be trained at "
            f"{'x'.join(map(str, size))}: {first_line(error)}; set train.drop_last=true, or another size"
        ) from error


def refuse_ghost_of_one_image(net: nn.Module, name: str, images: int, size: Sequence[int]) -> None:
    """Raise ConfigError if ghost norms make a group of one of `images`, and the network cannot be trained on that."""
    sizes = {layer.ghost_size for layer in net.modules() if isinstance(layer, GhostBatchNorm) and layer.ghost_size}
    for ghost_size in sorted(sizes):
        if 1 == images // max(1, round(images / ghost_size)) < images and (
            # The fewest images with such a group: of 1, or of 2 and 1. Groups of three and more never leave one.
            error := _error_in_training(net, ghost_size + 1, size)
        ):
            raise ConfigError(
                f"model.ghost_size: {ghost_size}: of a batch or part of {images} images one group has a single image, "
                f"on which {name} cannot be trained at {'x'.join(map(str, size))}: {first_line(error)}; set "
                "model.ghost_size=3 or more, or 0"
            ) from error


def _error_in_training(net: nn.Module, images: int, size: Sequence[int]) -> ValueError | None:
    try:
        with draws_forgotten(), torch.no_grad():
            copy.deepcopy(net).to("cpu").train()(torch.zeros(images, *size))
    except ValueError as error:
        return error
    return None


@contextmanager
def one_line_for_wrong_images(name: str, images: Tensor) -> Iterator[None]:
    """Turn any error of a network about `images` [N, C, H, W] into a ConfigError of one line."""
    try:
        yield
    except _CANNOT_BE_BUILT as error:
        size = "x".join(map(str, images.shape[1:]))
        raise ConfigError(f"model.name: {name} does not take images of {size}: {first_line(error)}") from error


def _refuse_empty_layers(net: nn.Module) -> None:
    """Raise ValueError for a layer without channels. Torch only warns about it."""
    for name, parameter in net.named_parameters():
        if not parameter.numel():
            raise ValueError(f"{name.rpartition('.')[0]} is a layer without channels")


def _cannot_be_built(name: str, error: Exception) -> str:
    return f"model: {name} cannot be built with these arguments: {first_line(error)}"
