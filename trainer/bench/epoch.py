"""A whole epoch of `trainer train` against as many bare steps."""

import contextlib
import io
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.bench.rounds import ratio, result, spread
from trainer.bench.step import BareStep, threads
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.protocols import Progress, Record, RunInfo, Status
from trainer.training.run import start_run

_STEPS = 5  # bare ones, after each epoch


def bench_epoch(config: RunConfig, *, rounds: int = 5) -> dict[str, Any]:
    """Train a run of 1 + `rounds` epochs in a folder that is thrown away, with a few bare steps after each epoch.

    An epoch is data, steps, evaluation, a row in each sink and a checkpoint. `training` is its data and steps alone,
    by the run's own clock. The first epoch is not counted, nor is one that the end of the run cuts short. Raises
    UserError if no other epoch was whole.
    """
    taken = _Turns(BareStep(config))
    each_epoch = {"evaluate_every": 1, "checkpoint_every": 1, "checkpoint_seconds": 0.0}
    train = config.train.model_copy(update={"epochs": 1 + rounds, **each_epoch})
    with tempfile.TemporaryDirectory() as runs, contextlib.redirect_stdout(io.StringIO()):
        run = start_run(config.model_copy(update={"train": train}), runs=Path(runs), sinks=[taken])
    if len(taken.epoch) < 2:
        raise UserError(f"bench epoch: {run.message or f'the run {run.status}'} within two epochs; nothing is measured")
    epoch, training, bare = (column[1:] for column in (taken.epoch, taken.training, taken.bare))
    measured = {
        "whole epoch": {"images/s": spread(epoch), "to bare step, ratio": ratio(epoch, bare)},
        "training": {"images/s": spread(training), "to bare step, ratio": ratio(training, bare)},
        "bare step": {"images/s": spread(bare)},
    }
    settings = {"network": config.model.name, "batch_size": config.train.batch_size, "images": taken.images}
    compute = taken.step.compute
    settings |= {"precision": compute.precision, **threads()}
    return result("epoch", measured, rounds=len(epoch), gpu=compute.measured_on, **settings)


class _Turns:
    """A sink that makes bare steps between the epochs, and notes the speed of both.

    The time from the row of one epoch to that of the next holds one checkpoint and one evaluation.
    """

    name = "bench"

    def __init__(self, step: BareStep) -> None:
        self.step = step
        self.epoch: list[float] = []  # images/s
        self.training: list[float] = []
        self.bare: list[float] = []
        self.images = 0  # of an epoch
        self._trained = 0.0  # seconds, by the run's clock
        self._since = 0.0

    def start(self, run: RunInfo) -> None:
        self._since = time.perf_counter()

    def progress(self, progress: Progress) -> None:
        self.images = progress.images_per_epoch

    def log(self, record: Record) -> None:
        if "time/train_seconds" not in record.metrics or record.epoch % 1:
            return  # a row inside an epoch, or that of one which was cut short
        self.step.compute.synchronize()
        trained = record.metrics["time/train_seconds"]
        self.epoch.append(self.images / (time.perf_counter() - self._since))
        self.training.append(self.images / (trained - self._trained))
        self.bare.append(self.step.images_per_second(_STEPS))
        self._trained, self._since = trained, time.perf_counter()

    def memory(self) -> Mapping[str, Any]:
        return {}

    def finish(self, status: Status, summary: Mapping[str, Any]) -> str | None:
        return None
