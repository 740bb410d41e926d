"""Own parts tried out on a few numbers before a run, so that a mistake in them is a line and not a traceback later."""

from functools import partial

import torch

from trainer.config import RunConfig
from trainer.config.augment import NoMix, OwnAugment
from trainer.config.data import OwnData
from trainer.config.loss import OwnLoss
from trainer.config.optimizer import OwnOptimizer
from trainer.config.own import is_own
from trainer.config.probe import OwnProbe
from trainer.data.augment.own import own_augment
from trainer.data.augment.stage import Epoch
from trainer.data.sources import SetShape, shape_of
from trainer.errors import ConfigError, DataError
from trainer.own import parts as own
from trainer.probes.due import Steps
from trainer.probes.own import ExtraProbe
from trainer.probes.untouched import untouched
from trainer.seeds import draws_forgotten
from trainer.training.losses import build_loss, try_own_loss
from trainer.training.networks import build_network, try_own_network
from trainer.training.optimizers.build import try_own_optimizer
from trainer.training.optimizers.groups import missing_groups
from trainer.training.parts import Parts
from trainer.training.step import Step


def try_parts(config: RunConfig) -> list[str]:
    """Return a line for each own part that does not do what its kind does. No image is read.

    What depends on the images is tried if their sizes are known without reading them.
    """
    shape: SetShape | None = None
    if not isinstance(config.data, OwnData):
        try:
            shape = shape_of(config.data)
        except DataError:  # it is told when the run begins, which may be elsewhere
            shape = None
    problems: list[str] = []
    sized = [partial(trial, shape=shape) for trial in (_network, _loss, _augment)] if shape else []
    for trial in (*sized, _optimizer, _probe):
        try:
            trial(config)
        except ConfigError as error:
            problems += error.problems
    return problems


def try_probe(parts: Parts, config: RunConfig) -> None:
    """Raise ConfigError unless the own probe measures the first step of a run, which is left as it was."""
    if not isinstance(config.probe.extra, OwnProbe):
        return
    probe = ExtraProbe(config.probe.extra, Steps(1, frozenset()))
    images, targets = next(parts.batches.epoch(0))
    with untouched(parts.model):
        step = Step(parts, parts.normalize(images, parts.compute.memory_format), targets, watched=True)
        view = step.view(step.backward(), step=0, epoch=0.0, lr=float(parts.optimizer.param_groups[0]["lr"]))
        probe.measure(view)


def _network(config: RunConfig, shape: SetShape) -> None:
    if not is_own("model", config.model.name):
        return
    try:  # without numbers, which takes no time; but not every network can be built so
        with torch.device("meta"):
            net = build_network(config.model, shape)
            try_own_network(net, config.model, shape)
    except ConfigError:
        with draws_forgotten():
            net = build_network(config.model, shape)
            try_own_network(net, config.model, shape)
    if problems := missing_groups(net, config.optimizer):
        raise ConfigError(*problems)


def _loss(config: RunConfig, shape: SetShape) -> None:
    if isinstance(config.loss, OwnLoss):
        loss = build_loss(config.loss, shape.num_classes)
        if not isinstance(config.augment.mix, NoMix):
            soft = torch.full((4, shape.num_classes), 1 / shape.num_classes)
            try_own_loss(loss, own.source_of("loss", config.loss), soft, shape.num_classes)


def _optimizer(config: RunConfig) -> None:
    if isinstance(config.optimizer, OwnOptimizer):
        try_own_optimizer(config.optimizer)


def _augment(config: RunConfig, shape: SetShape) -> None:
    if isinstance(config.augment.extra, OwnAugment):
        side, draw = shape.image_size, torch.Generator().manual_seed(0)
        images = torch.randint(256, (4, shape.in_channels, side, side), generator=draw, dtype=torch.uint8)
        epoch = Epoch(draw, 4, 4, side, side, torch.device("cpu"))
        with draws_forgotten():
            own_augment(config.augment.extra)(epoch)(0, images)


def _probe(config: RunConfig) -> None:
    if isinstance(config.probe.extra, OwnProbe):
        ExtraProbe(config.probe.extra, Steps(1, frozenset()))
