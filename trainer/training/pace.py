"""The time that a run will take on this machine, from a few of its steps."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from torch import Tensor

from trainer.config import RunConfig
from trainer.config.augment import Side
from trainer.config.train import BatchSchedule
from trainer.data.sources import load_image_set
from trainer.data.steps import Steps
from trainer.runs.checkpoint import save_checkpoint
from trainer.training.device import choose_compute, keep_freed_memory
from trainer.training.evaluate import evaluate, evaluated_at_once
from trainer.training.loop import Loop, seconds_between_checkpoints
from trainer.training.numerics import numerics
from trainer.training.parts import Parts
from trainer.training.recorded import RECORDED_FROM, source_of_steps
from trainer.training.run import build_parts
from trainer.training.step import Step

_STEPS = 3  # that are timed, after those that are not


@dataclass(frozen=True)
class Pace:
    """Seconds of the pieces of a run."""

    start: float  # to load the data, build the network and take the first step
    step: float
    epoch: float  # what an epoch has besides steps: its draws, and the first batch
    evaluation: float  # for each image
    checkpoint: float
    apart: float  # least time from one checkpoint to the next
    probes: float  # all measurements of the run
    steps_per_epoch: int
    evaluated: int  # images after each epoch, of the validation set
    tested: int  # images in the test set
    trained: int  # images in the training set

    def seconds(self, config: RunConfig) -> float:
        """Return the predicted wall time of a run that is not stopped early, in seconds."""
        train = config.train
        steps, share = self._steps(config)
        stepping = min(steps * share * self.step, train.max_seconds or float("inf"))
        images = min(train.swa.epochs, math.ceil(train.epochs)) * self.trained
        whole = stepping + share * (self._between_steps(config) + images * self.evaluation)
        return self.start + whole + self.checkpoints(config) * self.checkpoint + self.probes

    def checkpoints(self, config: RunConfig) -> int:
        """Return how many checkpoints a run makes: at its start, at its end, and those that are due between."""
        train = config.train
        steps, share = self._steps(config)
        seconds = (steps * self.step + self._between_steps(config)) / train.epochs * train.checkpoint_every
        due = math.ceil(round(share * train.epochs / train.checkpoint_every, 9))  # the last is that of the end
        each = math.ceil(self.apart / seconds) if seconds else 1
        return 2 + (due - 1) // max(1, each)

    def _steps(self, config: RunConfig) -> tuple[int, float]:
        """Return the steps of all epochs, and the share of them that a run takes."""
        steps, most = Steps(self.steps_per_epoch, 1).of(config.train.epochs), config.train.max_steps
        return steps, min(1.0, most / steps) if most else 1.0

    def _between_steps(self, config: RunConfig) -> float:
        """Return the seconds of all epochs besides steps and checkpoints."""
        epochs = math.ceil(config.train.epochs)
        tests = -(-epochs // config.train.evaluate_every)
        return epochs * self.epoch + (epochs * self.evaluated + tests * self.tested) * self.evaluation

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_pace(config: RunConfig) -> Pace:
    """Time the pieces of a run of this config: its first steps, part of an evaluation, a checkpoint, each probe.

    Nothing is left behind. Raises UserError for whatever would keep the run from starting.
    """
    begun = time.perf_counter()
    compute = choose_compute(config.train)
    keep_freed_memory(compute.device)
    # Timed at the whole side, since images that grow begin with quicker steps, and at the first batch size, since as
    # many images in larger batches take about as long.
    train = config.train.model_copy(update={"batch_schedule": BatchSchedule()})
    augment = config.augment.model_copy(update={"side": Side()})
    config = config.model_copy(update={"augment": augment, "train": train})
    image_set = load_image_set(config.data, seed=config.seed)
    parts = build_parts(config, compute, image_set)
    total = parts.batches.steps.of(config.train.epochs, most=config.train.max_steps)
    plain = replace(parts, probes=[])
    with tempfile.TemporaryDirectory() as folder, numerics(config.train, parts.model), compute.stream():

        def keep(name: str, content: Mapping[str, Any]) -> None:
            save_checkpoint(Path(folder) / f"{name}.pt", {"config": config.model_dump(mode="json"), **content})

        loop = Loop(plain, [], keep=keep, stop_requested=lambda: False, steps=source_of_steps(config, plain))
        batches = endless_batches(parts)
        images, targets = next(batches)
        for _ in range(RECORDED_FROM if config.train.graphs else 1):
            loop.train_batch(images, targets)
        compute.synchronize()
        start = time.perf_counter() - begun
        steps = [compute.timed(lambda: loop.train_batch(*next(batches))) for _ in range(_STEPS)]
        step = sorted(steps)[_STEPS // 2]
        epoch = max(0.0, compute.timed(lambda: next(iter(parts.batches.epoch(1)))))
        return Pace(
            start=start,
            step=step,
            epoch=epoch,
            evaluation=_evaluation(parts),
            checkpoint=compute.timed(loop.save_checkpoint),
            apart=seconds_between_checkpoints(config.train, compute.device),
            probes=sum(_probes(parts, images, targets, total)),
            steps_per_epoch=parts.batches.steps.in_epoch(0),
            evaluated=len(parts.val) if parts.val else 0,
            tested=len(parts.test),
            trained=len(image_set.train),
        )


def endless_batches(parts: Parts) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of a run, epoch after epoch, without end: images [N, C, H, W] from 0 to 255, and targets.

    An epoch that the run does not complete is cut short there: the network may not take the smaller batch at its end.
    """
    steps = parts.batches.steps.of(parts.config.epochs, most=parts.config.max_steps)
    for epoch in count():
        yield from islice(parts.batches.epoch(epoch), steps)


def _evaluation(parts: Parts) -> float:
    """Return seconds for each image: of one batch of the test set, after one that is not timed."""
    size = min(parts.config.eval_batch_size or evaluated_at_once(parts.test.images), len(parts.test))
    part = replace(parts.test, images=parts.test.images[:size], labels=parts.test.labels[:size])

    def once() -> object:
        return evaluate(
            parts.evaluated,
            part,
            parts.normalize,
            parts.loss_fn,
            parts.compute,
            tta=parts.config.tta,
            tta_share=parts.config.tta_share,
            batch_size=size,
        )

    once()
    return parts.compute.timed(once) / size


def _probes(parts: Parts, images: Tensor, targets: Tensor, total: int) -> Iterator[float]:
    """Yield the seconds of each probe in a run of `total` steps."""
    for probe in parts.probes:
        step = Step(parts, parts.normalize(images, parts.compute.memory_format), targets, watched=True)
        view = step.view(step.backward(), step=0, epoch=0.0, lr=float(parts.optimizer.param_groups[0]["lr"]))
        due = sum(probe.due(number) for number in range(total))
        if due:
            yield due * parts.compute.timed(lambda probe=probe, view=view: probe.measure(view))
