"""The training loop: `Loop.fit` on one screen, and what it carries from step to step."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.images import Split
from trainer.device import Compute
from trainer.ema import Ema
from trainer.evaluate import evaluate
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
    lowest_loss: float = float("inf")  # of what decides: validation, or training where there is none

    def keep_best(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The best so far of each accuracy, as `NAME_best`: `test/accuracy_best` is a choice made on the test set."""
        accuracies = {key: metrics[key] for key in ("val/accuracy", "test/accuracy") if key in metrics}
        self.best |= {key: max(value, self.best.get(key, 0.0)) for key, value in accuracies.items()}
        return {f"{key}_best": self.best[key] for key in accuracies}

    def improves(self, loss: float) -> bool:
        """Remember the lowest deciding loss; True where this is it."""
        better = loss < self.lowest_loss
        self.lowest_loss = min(loss, self.lowest_loss)
        return better


class Sums:
    """This epoch's sums, on the device until somebody looks."""

    def __init__(self, device: torch.device) -> None:
        self.values = torch.zeros(3, device=device)  # summed loss, pictures right, 1 + first step of no finite loss
        self.bad_step: int | None = None  # as of the last read

    def add(self, loss: Tensor, right: Tensor, step: int) -> None:
        """Without waiting for the device."""
        loss = loss.detach()
        first_bad = ~loss.isfinite() & (self.values[2] == 0)
        self.values += torch.stack([loss, right.to(loss.dtype), first_bad.to(loss.dtype) * (step + 1)])

    def read(self) -> tuple[float, float]:
        """(summed loss, pictures right): waits for the device."""
        loss, right, bad = self.values.tolist()
        self.bad_step = int(bad) - 1 if bad else None
        return loss, right

    def reset(self) -> None:
        self.values.zero_()


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


class Loop:
    """A run under way: its parts, where it stands, who watches, who saves."""

    def __init__(
        self,
        parts: Parts,
        counters: Counters,
        sums: Sums,
        keeper: Keeper,
        sinks: Sequence[Sink],
        probes: Sequence[Probe] = (),
    ) -> None:
        self.parts, self.counters, self.sums, self.keeper = parts, counters, sums, keeper
        self.sinks, self.probes = sinks, probes
        self.clock = _Clock(parts.compute, counters)

    def fit(self) -> Outcome:
        """Train from where the counters stand to the last epoch, a stop, or a loss that is no longer finite."""
        parts, counters, keeper = self.parts, self.counters, self.keeper
        epochs, last = parts.config.epochs, parts.config.max_steps
        while counters.epoch < epochs and counters.step != last:
            parts.model.train()
            self.clock.start()
            for images, labels in parts.batches.epoch(counters.epoch, counters.step_in_epoch):
                inputs = parts.normalize(images).contiguous(memory_format=parts.compute.memory_format)
                parts.schedule.set_rate(counters.step)
                self._probe(inputs, labels)
                self._step(inputs, labels)
                if parts.ema:
                    parts.ema.update(counters.step - 1)
                self._show()
                if counters.step == last or keeper.stop_requested:
                    break
                if self.sums.bad_step is not None:
                    break
            self.clock.stop()
            loss, right = self.sums.read()
            if (bad := self.sums.bad_step) is not None:
                return Outcome("diverged", bad, f"the training loss stopped being finite at step {bad}")
            if counters.step != last and counters.step_in_epoch < parts.batches.per_epoch:
                keeper.save(best=False)
                return Outcome("interrupted", counters.step)
            self._end_epoch(loss / counters.seen, right / counters.seen)
            if keeper.stop_requested and counters.epoch < epochs and counters.step != last:
                return Outcome("interrupted", counters.step)
        return Outcome("finished", counters.step)

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """One optimizer update on one batch [N, C, H, W], in `accumulate` parts. Nothing here waits for the device."""
        parts, counters, n = self.parts, self.counters, len(labels)
        pieces = min(parts.config.accumulate, n)
        parts.optimizer.zero_grad(set_to_none=True)
        for x, y in zip(images.tensor_split(pieces), labels.tensor_split(pieces), strict=True):
            with parts.compute.autocast():
                logits = parts.forward(x)
            logits = logits.float()
            loss = parts.loss_fn(logits, y)
            # What is minimised and what is logged differ by this: a batch's mean or sum, and a sum over pictures.
            weight, summed = (1.0, loss) if parts.loss_fn.reduction == "sum" else (len(y) / n, loss * len(y))
            parts.scaler.scale(loss * weight).backward()
            self.sums.add(summed, (logits.argmax(1) == y).sum(), counters.step)
        if parts.config.clip_grad_norm:
            parts.scaler.unscale_(parts.optimizer)
            nn.utils.clip_grad_norm_(parts.model.parameters(), parts.config.clip_grad_norm)
        parts.scaler.step(parts.optimizer)
        parts.scaler.update()
        counters.step += 1
        counters.step_in_epoch += 1
        counters.seen += n

    def _probe(self, images: Tensor, labels: Tensor) -> None:
        """Let the probes that are due look at the step about to be taken; their time is not training time."""
        due = [probe for probe in self.probes if probe.due(self.counters.step)]
        if not due:
            return
        view = View(self.counters.step, self._epoch_now(), self.parts.model, images, labels, self._rate())
        with self.clock.paused():
            self._log({key: value for probe in due for key, value in probe.measure(view).items()})

    def _show(self) -> None:
        """Every so many steps read the running sums: for the progress bar, and for a row where one is due."""
        counters, every = self.counters, self.parts.config.log_every
        row_due = every and counters.step % every == 0
        if not row_due and counters.step % _LOOK_EVERY:
            return
        loss, right = self.sums.read()
        metrics = {"train/loss": loss / counters.seen, "train/accuracy": right / counters.seen} | self.clock.metrics()
        steps = self.parts.batches.per_epoch
        shown = Progress(counters.epoch + 1, self.parts.config.epochs, counters.step_in_epoch, steps, metrics)
        for sink in self.sinks:
            sink.progress(shown)
        if row_due:
            self._log({"train/loss_running": loss / counters.seen, "optimizer/lr": self._rate()})

    def _end_epoch(self, loss: float, accuracy: float) -> None:
        """Evaluate, tell the schedule, log one row, save: in this order, so that a checkpoint knows of its own row."""
        config, counters, parts, keeper = self.parts.config, self.counters, self.parts, self.keeper
        counters.epoch += 1
        ended = counters.epoch == config.epochs or counters.step == config.max_steps
        metrics = {"train/loss": loss, "train/accuracy": accuracy, "optimizer/lr": self._rate()}
        if parts.val:  # it decides, so it is looked at after every epoch
            metrics |= self._evaluate("val", parts.val)
        if ended or counters.epoch % config.evaluate_every == 0:
            metrics |= self._evaluate("test", parts.test)
        metrics |= counters.keep_best(metrics)
        deciding = metrics.get("val/loss", loss)  # never the test set
        improved = counters.improves(deciding)
        parts.schedule.epoch_ended(deciding)
        metrics |= self.clock.metrics()
        counters.latest |= metrics
        counters.step_in_epoch = 0
        self._log(metrics)
        counters.seen = 0
        self.sums.reset()
        if improved and config.keep_best:
            keeper.save(best=True)
        if ended or counters.epoch % config.checkpoint_every == 0 or keeper.stop_requested:
            keeper.save(best=False)

    def _evaluate(self, name: str, split: Split) -> dict[str, float]:
        parts = self.parts
        tta, batch_size = parts.config.tta, parts.config.eval_batch_size
        found = evaluate(
            parts.evaluated, split, parts.normalize, parts.loss_fn, parts.compute, tta=tta, batch_size=batch_size
        )
        return {f"{name}/{key}": value for key, value in found.metrics().items()}

    def _log(self, metrics: Mapping[str, float]) -> None:
        record = Record(self._epoch_now(), self.counters.step, metrics)
        for sink in self.sinks:
            sink.log(record)

    def _epoch_now(self) -> float:
        return self.counters.epoch + self.counters.step_in_epoch / self.parts.batches.per_epoch

    def _rate(self) -> float:
        return float(self.parts.optimizer.param_groups[0]["lr"])


class _Clock:
    """Seconds inside training steps; evaluation, probes and saving are not training."""

    def __init__(self, compute: Compute, counters: Counters) -> None:
        self._compute, self._counters = compute, counters
        self._since: float | None = None
        self._epoch_seconds, self._seen_before = 0.0, 0

    def start(self) -> None:
        """An epoch begins, or goes on after a resume: what an earlier segment saw of it is not in its rate."""
        self._epoch_seconds, self._seen_before = 0.0, self._counters.seen
        self._since = time.perf_counter()

    def stop(self) -> None:
        self._compute.synchronize()
        self._tick()
        self._since = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self.stop()
        yield
        self._compute.synchronize()
        self._since = time.perf_counter()

    def metrics(self) -> dict[str, float]:
        self._tick()
        rate = (self._counters.seen - self._seen_before) / max(self._epoch_seconds, 1e-9)
        return {"time/train_seconds": self._counters.train_seconds, "time/images_per_second": rate}

    def _tick(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self._epoch_seconds += now - self._since
            self._counters.train_seconds += now - self._since
            self._since = now
