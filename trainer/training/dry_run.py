"""Size and memory of a run before anything is read or trained, for `trainer train --dry-run`."""

from typing import Any

import torch
from torch import Tensor, nn

import models
from trainer.config import RunConfig
from trainer.config.optimizer import Optimizer, OwnOptimizer, Timm
from trainer.config.own import is_own
from trainer.data.sources import shape_of
from trainer.data.steps import Steps
from trainer.errors import ConfigError
from trainer.training.device import choose_compute
from trainer.training.networks import build_network, one_line_for_wrong_images
from trainer.training.optimizers import build_optimizer

_FLOAT32 = 4


def steps_of(config: RunConfig) -> Steps:
    """Return the optimizer updates of the epochs without reading the data."""
    size, train = shape_of(config.data).train_size, config.train
    size -= round(size * config.data.val_fraction)
    return Steps(size, train.batch_size, train.drop_last, train.batch_schedule)


def plan_run(config: RunConfig) -> dict[str, int]:
    """Return parameters, multiply-adds of one image, and bytes on the device by use, which are a lower bound."""
    compute = choose_compute(config.train)
    shape = shape_of(config.data)
    # Not everybody's own code can do without numbers.
    device = "cpu" if is_own("model", config.model.name) or isinstance(config.optimizer, OwnOptimizer) else "meta"
    with torch.device(device):
        model = build_network(config.model, shape)
    images = (shape.in_channels, shape.image_size, shape.image_size)
    steps = steps_of(config)
    largest = max(map(steps.size, (0, *config.train.batch_schedule.from_epochs)))
    batch = max(2, -(-largest // (config.train.accumulate * config.train.devices)))
    with one_line_for_wrong_images(config.model.name, torch.empty(1, *images, device=device)):
        size = models.measure(model, images, batch_size=batch)
    try:
        optimizer = _stepped(model, config.optimizer)
    except RuntimeError as error:
        if device == "cpu" or not isinstance(config.optimizer, Timm):
            raise
        if config.optimizer.name.startswith("timm/kron"):  # its step in numbers takes minutes
            said = f"optimizer.name: the memory of {config.optimizer.name} is known only in training"
            raise ConfigError(said) from error
        # Some of timm's read numbers in a step. Only the network's weights are made for them, not a batch's maps.
        optimizer = _stepped(build_network(config.model, shape), config.optimizer)
    side = shape.image_size + 2 * config.augment.crop.padding
    views = 1 if config.augment.flip.mode == "none" else 2
    memory = {
        "memory/weights": _bytes(model.state_dict()),
        "memory/gradients": size["trainable_parameters"] * _FLOAT32,
        "memory/optimizer": _bytes(optimizer.state_dict()),
        "memory/average": _bytes(model.state_dict()) if config.train.ema.decay or config.train.swa.epochs else 0,
        "memory/activations": size["activation_bytes"] * compute.dtype.itemsize // _FLOAT32,
        "memory/images": shape.train_size * views * side**2 * shape.in_channels,
    }
    counts = {"model/parameters": size["parameters"], "model/trainable_parameters": size["trainable_parameters"]}
    return counts | {"model/macs": size["macs"]} | memory | {"memory/total": sum(memory.values())}


def _stepped(model: nn.Module, config: Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer after a step, so that its state has shapes. On the meta device nothing is computed."""
    optimizer = build_optimizer(model, config, fused=False)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    return optimizer


def _bytes(content: Any) -> int:
    """Return the bytes of all tensors in nested dicts and lists."""
    if isinstance(content, Tensor):
        return content.nbytes
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return sum(map(_bytes, inner))
