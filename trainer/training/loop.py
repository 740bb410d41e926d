"""The training loop: `Loop.fit` on one screen, and what it carries from step to step."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.data.images import Split
from trainer.protocols import Probe, Progress, Record, Sink, Status, View
from trainer.seeds import random_state, set_random_state
from trainer.training.counters import Clock, Counters, Sums
from trainer.training.evaluate import evaluate
from trainer.training.parts import Parts
from trainer.training.step import Step

_LOOK_EVERY = 20  # steps between two reads of a GPU's running sums, for the progress bar and for a loss gone NaN
_MOST_CLASSES = 100  # of which a confusion matrix is kept

Keep = Callable[[str, Mapping[str, Any]], None]
"""Puts a state on disk under a name: `checkpoint`, all that a resume needs; `best`, the weights of the best epoch;
`path/EPOCH`, those on the way."""

Measured = Mapping[str, Tensor | float]


@dataclass(frozen=True)
class Outcome:
    status: Status
    step: int
    message: str = ""


class Loop:
    """A run under way: its parts, where it stands, who watches, who keeps its state."""

    def __init__(
        self,
        parts: Parts,
        sinks: Sequence[Sink],
        *,
        keep: Keep,
        stop_requested: Callable[[], bool],
    ) -> None:
        self.parts, self.sinks = parts, sinks
        self._keep, self._stop_requested = keep, stop_requested
        self.counters, self.sums = Counters(), Sums(parts.compute.device)
        self._best: dict[str, Any] = {}  # the best epoch's weights, where they are to be restored
        self._clock = Clock(parts.compute, self.counters)
        self.confusion: Tensor | None = None  # [K, K] of the last look at the test set, by true class, then predicted
        self._measured: list[tuple[float, int, Measured]] = []  # (epoch, step, what the probes found), not yet logged

    def fit(self) -> Outcome:
        """Train from where the counters stand to the last epoch, a stop, or a loss that is no longer finite."""
        parts, counters = self.parts, self.counters
        if not counters.step:
            self._keep_on_the_way()
        while not self.done:
            parts.model.train()
            self._clock.start()
            for images, targets in parts.batches.epoch(counters.epoch, counters.step_in_epoch):
                self.train_batch(images, targets)
                self._watch_the_clock()
                if self.done or self._stop_requested() or self.sums.bad_step is not None:
                    break
            self._clock.stop()
            loss, correct = self.sums.read()
            self._log_measured()  # also of a run that ends here
            if (bad := self.sums.bad_step) is not None:
                return Outcome("diverged", bad, f"the training loss stopped being finite at step {bad}")
            if not self._weights_are_finite():  # the next loss would tell, but a checkpoint comes first
                return Outcome("diverged", counters.step, f"the weights stopped being finite by step {counters.step}")
            if counters.step_in_epoch == parts.batches.per_epoch or self.done:
                self._end_epoch(loss / counters.images_seen, correct / counters.images_seen)
            else:
                self._save()
            if self._stop_requested() and not self.done:
                return Outcome("interrupted", counters.step)
        return Outcome("finished", counters.step, counters.ended)

    @property
    def done(self) -> bool:
        counters, config = self.counters, self.parts.config
        return bool(counters.ended) or counters.epoch == config.epochs or counters.step == config.max_steps

    @property
    def epoch(self) -> float:
        """Epochs done, with the fraction of the one under way."""
        return self.counters.epoch + self.counters.step_in_epoch / self.parts.batches.per_epoch

    @property
    def lr(self) -> float:
        return float(self.parts.optimizer.param_groups[0]["lr"])

    def train_batch(self, images: Tensor, targets: Tensor) -> None:
        """One step on images [N, C, H, W] of 0 to 255 and targets [N] or [N, K], with all that belongs to it. Nothing
        here waits for the device, but the look at the sums every so many steps."""
        parts, counters = self.parts, self.counters
        inputs = parts.normalize(images, parts.compute.memory_format)
        parts.schedule.set_rate(counters.step)
        self._step(inputs, targets)
        if parts.ema:
            parts.ema.update(counters.step - 1)
        self._show()

    def _step(self, images: Tensor, targets: Tensor) -> None:
        """One optimizer update on one batch [N, C, H, W]; the probes that are due look at it before it is made."""
        counters = self.counters
        due = [probe for probe in self.parts.probes if probe.due(counters.step)]
        step = Step(self.parts, images, targets, replayed=bool(due))
        loss = step.backward(lambda loss, correct: self.sums.add(loss, correct, counters.step))
        if due:
            self._probe(due, step.view(loss, step=counters.step, epoch=self.epoch, lr=self.lr))
        step.update()
        counters.step += 1
        counters.step_in_epoch += 1
        counters.images_seen += len(targets)

    def _watch_the_clock(self) -> None:
        limit = self.parts.config.max_seconds
        if limit is not None and self._clock.metrics()["time/train_seconds"] >= limit:
            self.counters.ended = f"stopped after train.max_seconds={limit:g}"

    def _probe(self, due: Sequence[Probe], view: View) -> None:
        """Let the probes that are due look at the step between its gradient and its update."""
        found: dict[str, Tensor | float] = {}
        for probe in due:
            with self._clock.paused() if probe.clocked_apart else contextlib.nullcontext():
                found |= probe.measure(view)
        if found:
            self._measured.append((view.epoch, view.step, found))

    def _log_measured(self) -> None:
        """Read what the probes have put aside, all at once."""
        measured, self._measured = self._measured, []
        waiting = [value for *_, found in measured for value in found.values() if isinstance(value, Tensor)]
        read = iter(torch.stack([value.float() for value in waiting]).tolist() if waiting else [])
        for epoch, step, found in measured:
            metrics = {key: next(read) if isinstance(value, Tensor) else value for key, value in found.items()}
            for sink in self.sinks:
                sink.log(Record(epoch, step, metrics))

    def _show(self) -> None:
        """Every so many steps read the running sums: for the progress bar, and for a row where one is due."""
        counters, every = self.counters, self.parts.config.log_every
        row_due = every and counters.step % every == 0
        if not row_due and self.parts.compute.device.type != "cpu" and counters.step % _LOOK_EVERY:
            return
        loss, correct = (total / counters.images_seen for total in self.sums.read())
        self._log_measured()
        if self.sums.bad_step is not None:
            return
        metrics = {"train/loss": loss, "train/accuracy": correct} | self._clock.metrics()
        steps = self.parts.batches.per_epoch
        shown = Progress(counters.epoch + 1, self.parts.config.epochs, counters.step_in_epoch, steps, metrics)
        for sink in self.sinks:
            sink.progress(shown)
        if row_due:
            self._log({"train/loss_running": loss, "optimizer/lr": self.lr})

    def _end_epoch(self, loss: float, accuracy: float) -> None:
        """Average, evaluate, see whether the run is over, log one row, save: in this order, so that a checkpoint knows
        of its own row. An epoch that `max_steps` cuts short is evaluated and logged at its fraction."""
        config, counters, parts = self.parts.config, self.counters, self.parts
        if counters.step_in_epoch == parts.batches.per_epoch:
            counters.epoch, counters.step_in_epoch = counters.epoch + 1, 0
        metrics = {"train/loss": loss, "train/accuracy": accuracy, "optimizer/lr": self.lr}
        self._average()
        if parts.val:  # it decides, so it is looked at after every epoch
            metrics |= self._evaluate("val", parts.val)
            metrics |= self._reached(metrics["val/accuracy"])
        improved = parts.monitor.look(metrics)  # never at the test set
        if parts.monitor.exhausted:
            waited = config.early_stop.patience
            counters.ended = f"stopped early: no better {parts.monitor.metric} for {waited} epochs"
        if config.early_stop.restore_best:
            metrics |= self._remember_or_restore(improved)
        if self.done or counters.epoch % config.evaluate_every == 0:
            metrics |= self._evaluate("test", parts.test)
            metrics |= {} if parts.val else self._reached(metrics["test/accuracy"])
        metrics |= counters.best_accuracies(metrics)
        parts.schedule.epoch_ended(metrics.get("val/loss", loss))
        metrics |= self._clock.metrics()
        counters.latest |= metrics
        self._log(metrics)
        counters.images_seen = 0
        self.sums.reset()
        if improved and parts.keep_best:
            self._keep("best", self.weights())
        self._keep_on_the_way()
        if self.done or counters.epoch % config.checkpoint_every == 0 or self._stop_requested():
            self._save()

    def _keep_on_the_way(self) -> None:
        """The evaluated weights of the first epoch (0), the last, and every so many between."""
        every = self.parts.path_every
        if every and (self.done or self.counters.epoch % every == 0):
            self._keep(f"path/{self.epoch:g}", {"epoch": self.epoch, "evaluated": self.parts.evaluated.state_dict()})

    def _save(self) -> None:
        self._log_measured()  # so that the checkpoint knows of its rows
        self._keep("checkpoint", self.state_dict())

    def _remember_or_restore(self, improved: bool) -> dict[str, float]:
        """Keep the weights of the best epoch; at the run's end, go back to them and measure them again."""
        parts = self.parts
        if improved:
            weights = {key: value.clone() for key, value in parts.evaluated.state_dict().items()}
            self._best = {"epoch": self.epoch, "weights": weights}
        if not self.done or self._best.get("epoch", self.epoch) == self.epoch:
            return {}
        parts.evaluated.load_state_dict(self._best["weights"])
        again = self._evaluate("val", parts.val) if parts.val else {}
        return again | {"restored_epoch": self._best["epoch"]}

    def _weights_are_finite(self) -> bool:
        values = [value for value in self.parts.model.state_dict().values() if value.is_floating_point()]
        return bool(torch.stack([value.isfinite().all() for value in values]).all())

    def _average(self) -> None:
        """An epoch has ended: take its weights into the stochastic average, once that has begun."""
        parts = self.parts
        if parts.swa and parts.config.epochs - self.counters.epoch < parts.config.swa.epochs:
            parts.swa.update(parts.model)
            with torch.inference_mode(), parts.compute.autocast():
                inputs = (images for images, _ in parts.batches.epoch(self.counters.epoch))
                parts.swa.refresh_norms(parts.normalize(x, parts.compute.memory_format) for x in inputs)

    def _reached(self, accuracy: float) -> dict[str, float]:
        """Ends the run at `target_accuracy`: how long that took."""
        target = self.parts.config.target_accuracy
        if target is None or accuracy < target:
            return {}
        self.counters.ended = f"reached train.target_accuracy={target:g}"
        return {"time/to_target_seconds": self.counters.train_seconds, "epochs_to_target": self.epoch}

    def weights(self) -> dict[str, Any]:
        """What an evaluation needs."""
        return {
            "epoch": self.epoch,
            "model": self.parts.model.state_dict(),
            "evaluated": self.parts.evaluated.state_dict(),
            "counters": asdict(self.counters),
        }

    def state_dict(self) -> dict[str, Any]:
        """What a resume needs: tensors and plain values."""
        parts = self.parts
        return {
            **self.weights(),
            "ema": parts.ema.average.state_dict() if parts.ema else None,
            "swa": parts.swa.state_dict() if parts.swa else None,
            "monitor": parts.monitor.state_dict(),
            "best": self._best,
            "optimizer": parts.optimizer.state_dict(),
            "schedule": parts.schedule.state_dict(),
            "scaler": parts.scaler.state_dict(),
            "sums": self.sums.values,
            "probes": {probe.name: probe.state_dict() for probe in self.parts.probes},
            "random": random_state(parts.compute.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put everything back to where `state_dict` saw it."""
        parts = self.parts
        parts.model.load_state_dict(state["model"])
        if parts.ema:
            parts.ema.average.load_state_dict(state["ema"])
        if parts.swa:
            parts.swa.load_state_dict(state["swa"])
        parts.monitor.load_state_dict(state["monitor"])
        self._best = state["best"]
        parts.optimizer.load_state_dict(state["optimizer"])
        parts.schedule.load_state_dict(state["schedule"])
        parts.scaler.load_state_dict(state["scaler"])
        self.sums.values.copy_(state["sums"])
        vars(self.counters).update(state["counters"])
        for probe in self.parts.probes:
            probe.load_state_dict(state["probes"][probe.name])
        set_random_state(state["random"], parts.compute.device)

    def _evaluate(self, name: str, split: Split) -> dict[str, float]:
        parts = self.parts
        classes = len(parts.class_names)
        if split is parts.test and classes <= _MOST_CLASSES:
            self.confusion = torch.zeros(classes, classes, dtype=torch.int64, device=parts.compute.device)
        found = evaluate(
            parts.evaluated,
            split,
            parts.normalize,
            parts.loss_fn,
            parts.compute,
            tta=parts.config.tta,
            batch_size=parts.config.eval_batch_size,
            confusion=self.confusion if split is parts.test else None,
        )
        return {f"{name}/{key}": value for key, value in found.items()}

    def _log(self, metrics: Mapping[str, float]) -> None:
        self._log_measured()
        record = Record(self.epoch, self.counters.step, metrics)
        for sink in self.sinks:
            sink.log(record)
