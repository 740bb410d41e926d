"""The training loop: `fit` on one screen, and what it carries from step to step."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.images import Split
from trainer.device import Compute
from trainer.ema import Ema
from trainer.evaluate import Evaluation, evaluate
from trainer.observe import Probe, Progress, Record, Sink, Status, View
from trainer.schedules import RateSchedule

_LOOK_EVERY = 20  # steps between two reads of the running sums, for the progress bar and for a loss gone NaN


@dataclass(frozen=True)
class Parts:
    """What a run is made of, built from its config."""

    config: Train
    compute: Compute
    model: nn.Module
    forward: Callable[[Tensor], Tensor]  # the model, or its compiled form
    ema: Ema | None
    loss_fn: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: RateSchedule
    scaler: torch.amp.GradScaler
    normalize: Normalize
    batches: TrainingBatches
    val: Split | None
    test: Split

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: the average where there is one."""
        return self.ema.average if self.ema else self.model


@dataclass
class Counters:
    """Where a run stands, in plain numbers."""

    epoch: int = 0  # finished
    step: int = 0  # optimizer updates done
    step_in_epoch: int = 0
    train_seconds: float = 0.0  # inside training steps alone
    seen: int = 0  # pictures of this epoch
    best: dict[str, float] = field(default_factory=dict[str, float])  # metric -> best so far
    latest: dict[str, float] = field(default_factory=dict[str, float])  # metric -> last value


@dataclass
class Sums:
    """This epoch's sums, on the device until somebody looks."""

    values: Tensor  # [3] float32: loss of each picture, pictures right, 1 + first step whose loss was not finite

    @classmethod
    def zero(cls, device: torch.device) -> "Sums":
        return cls(torch.zeros(3, device=device))

    def add(self, loss: Tensor, right: Tensor, step: int) -> None:
        loss = loss.detach()
        self.values[0] += loss
        self.values[1] += right
        gone = (~loss.isfinite()) & (self.values[2] == 0)
        self.values[2] += gone * (step + 1)

    def read(self) -> tuple[float, float, int | None]:
        """(summed loss, pictures right, first bad step): waits for the device."""
        loss, right, bad = self.values.tolist()
        return loss, right, int(bad) - 1 if bad else None


@dataclass(frozen=True)
class Outcome:
    status: Status
    step: int
    message: str = ""


class Keeper(Protocol):
    """Who saves a run's state, and who says that it must stop."""

    def save(self, *, best: bool) -> None: ...

    @property
    def stop_requested(self) -> bool: ...


def fit(
    parts: Parts, counters: Counters, sums: Sums, keeper: Keeper, sinks: Sequence[Sink], probes: Sequence[Probe] = ()
) -> Outcome:
    """Train from where `counters` stand to the last epoch, a stop, or a loss that is no longer finite."""
    config, last = parts.config, parts.config.max_steps
    while counters.epoch < config.epochs:
        parts.model.train()
        clock = _Clock(parts.compute, counters)
        for images, labels in parts.batches.epoch(counters.epoch, counters.step_in_epoch):
            inputs = parts.normalize(images).contiguous(memory_format=parts.compute.memory_format)
            parts.schedule.set_rate(counters.step)
            _probe(parts, counters, probes, sinks, inputs, labels, clock)
            _step(parts, inputs, labels, sums, counters)
            if parts.ema:
                parts.ema.update(counters.step - 1)
            if counters.step % _LOOK_EVERY == 0 and (bad := _look(parts, counters, sums, sinks, clock)) is not None:
                return _diverged(bad)
            if counters.step == last or keeper.stop_requested:
                break
        clock.stop()
        if keeper.stop_requested and counters.step != last and counters.step_in_epoch < parts.batches.per_epoch:
            keeper.save(best=False)
            return Outcome("interrupted", counters.step)
        loss, right, bad = sums.read()
        if bad is not None:
            return _diverged(bad)
        _end_of_epoch(parts, counters, sums, keeper, sinks, loss / counters.seen, right / counters.seen, clock)
        if counters.step == last:
            break
        if keeper.stop_requested and counters.epoch < config.epochs:
            return Outcome("interrupted", counters.step)
    return Outcome("finished", counters.step)


def _step(parts: Parts, images: Tensor, labels: Tensor, sums: Sums, counters: Counters) -> None:
    """One optimizer update on one batch, in `accumulate` parts."""
    config, n = parts.config, len(labels)
    summed = getattr(parts.loss_fn, "reduction", "mean") == "sum"
    parts.optimizer.zero_grad(set_to_none=True)
    pieces = min(config.accumulate, n)
    for x, y in zip(images.tensor_split(pieces), labels.tensor_split(pieces), strict=True):
        with parts.compute.autocast():
            logits = parts.forward(x)
        logits = logits.float()
        loss = parts.loss_fn(logits, y)
        parts.scaler.scale(loss if summed else loss * (len(y) / n)).backward()
        sums.add(loss if summed else loss * len(y), (logits.argmax(1) == y).sum(), counters.step)
    if config.clip_grad_norm:
        parts.scaler.unscale_(parts.optimizer)
        nn.utils.clip_grad_norm_(parts.model.parameters(), config.clip_grad_norm)
    parts.scaler.step(parts.optimizer)
    parts.scaler.update()
    counters.step += 1
    counters.step_in_epoch += 1
    counters.seen += n


def _end_of_epoch(
    parts: Parts,
    counters: Counters,
    sums: Sums,
    keeper: Keeper,
    sinks: Sequence[Sink],
    loss: float,
    accuracy: float,
    clock: "_Clock",
) -> None:
    """Evaluate, tell the schedule, log one row, save: in this order, so that a checkpoint knows of its own row."""
    config = parts.config
    counters.epoch += 1
    ended = counters.epoch == config.epochs or counters.step == config.max_steps
    metrics = {"train/loss": loss, "train/accuracy": accuracy, "optimizer/lr": parts.optimizer.param_groups[0]["lr"]}
    looks = ended or counters.epoch % config.evaluate_every == 0
    if parts.val:  # decides, so it is looked at after every epoch
        metrics |= _named("val", _evaluate(parts, parts.val))
    if looks:
        metrics |= _named("test", _evaluate(parts, parts.test))
    improved = _update_best(counters, metrics)
    parts.schedule.epoch_ended(metrics.get("val/loss", loss))
    metrics |= {f"{key}_best": value for key, value in counters.best.items() if key in metrics}
    metrics |= clock.metrics()
    counters.latest |= metrics
    for sink in sinks:
        sink.log(Record(counters.epoch, counters.step, metrics))
    counters.seen, counters.step_in_epoch = 0, 0
    sums.values.zero_()
    if ended or counters.epoch % config.checkpoint_every == 0 or keeper.stop_requested:
        keeper.save(best=False)
    if improved and config.keep_best:
        keeper.save(best=True)


def _evaluate(parts: Parts, split: Split) -> Evaluation:
    config = parts.config
    return evaluate(
        parts.evaluated,
        split,
        parts.normalize,
        parts.loss_fn,
        parts.compute,
        tta=config.tta,
        batch_size=config.eval_batch_size,
    )


def _named(split: str, found: Evaluation) -> dict[str, float]:
    plain = {} if found.accuracy_plain is None else {f"{split}/accuracy_plain": found.accuracy_plain}
    return {f"{split}/loss": found.loss, f"{split}/accuracy": found.accuracy} | plain


def _update_best(counters: Counters, metrics: dict[str, float]) -> bool:
    """Keep the best of each watched metric. True where the deciding one, validation or training, got better."""
    for key in ("test/accuracy", "val/accuracy"):
        if key in metrics:
            counters.best[key] = max(metrics[key], counters.best.get(key, 0.0))
    decider = "val/loss" if "val/loss" in metrics else "train/loss"
    before = counters.latest.get(f"{decider}_lowest", float("inf"))
    counters.latest[f"{decider}_lowest"] = min(before, metrics[decider])
    return metrics[decider] < before
