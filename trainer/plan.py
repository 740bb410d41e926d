"""What a run will need, before anything is read or trained: for `trainer train --dry-run`."""

import models
from trainer.config import RunConfig
from trainer.config.optimizer import AdamW
from trainer.data.sources import shape_of
from trainer.device import choose_compute

_FLOAT32 = 4


def plan_run(config: RunConfig) -> dict[str, int]:
    """Parameters, multiply-adds of one picture, and bytes on the device by use; memory is an estimate from below."""
    compute = choose_compute(config.train)
    shape = shape_of(config.data)
    size = models.measure(
        config.model.name,
        image_size=shape.image_size,
        batch_size=-(-config.train.batch_size // config.train.accumulate),
        num_classes=shape.num_classes,
        in_channels=shape.in_channels,
        **config.model.arguments,
    )
    slots = (2 if isinstance(config.optimizer, AdamW) else 1) + 1 + (config.train.ema.decay > 0)  # state, gradient, EMA
    side = shape.image_size + 2 * config.augment.crop.padding
    views = 2 if config.augment.flip.mode == "random" else 1
    memory = {
        "memory/weights": size["parameters"] * _FLOAT32,
        "memory/gradients_and_state": size["trainable_parameters"] * _FLOAT32 * slots,
        "memory/activations": size["activation_bytes"] * compute.dtype.itemsize // _FLOAT32,
        "memory/pictures": shape.train_size * views * side**2 * shape.in_channels,
    }
    counts = {"model/parameters": size["parameters"], "model/trainable_parameters": size["trainable_parameters"]}
    return counts | {"model/macs": size["macs"]} | memory | {"memory/total": sum(memory.values())}
