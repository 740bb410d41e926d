"""The training loop: `Loop.fit` on one screen, and what it carries from step to step."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.data.images import Split
from trainer.protocols import Measured, Probe, Progress, Ratio, Record, Sink, Status, View
from trainer.runs.kept import name_of
from trainer.training.compiled import needs_a_pass, pass_ahead
from trainer.training.counters import Clock, Counters, Sums
from trainer.training.evaluate import Evaluation, evaluate
from trainer.training.parts import Parts
from trainer.training.recorded import StepSource
from trainer.training.second_tests import measure_second_tests

_SECONDS_ON_A_GPU = 30  # between two checkpoints, by default
_READ_EVERY = 20  # steps between two reads of a GPU's running sums, for the progress bar and to notice a NaN loss

Keep = Callable[[str, Mapping[str, Any]], None]
"""Writes a state to disk under a name: `checkpoint` is all that a resume needs, `best` the weights of the best epoch,
`path/EPOCH` those of a kept epoch."""


@dataclass(frozen=True)
class Outcome:
    """The status and step at the end of a run."""

    status: Status
    step: int
    message: str = ""


class Loop:
    """A run in progress: its parts, its counters, its sinks, and the function that keeps its state."""

    def __init__(
        self,
        parts: Parts,
        sinks: Sequence[Sink],
        *,
        keep: Keep,
        stop_requested: Callable[[], bool],
        steps: StepSource | None = None,
    ) -> None:
        """`steps` is where steps come from if they are recorded."""
        self.parts, self.sinks = parts, sinks
        self._keep, self._stop_requested = keep, parts.ranks.agreed(stop_requested)
        self.counters = Counters(build_seconds=parts.build_seconds, prepare_seconds=parts.prepare_seconds)
        self.sums = Sums(parts.compute.device)
        self._best: dict[str, Any] = {}  # the best epoch's weights and train/*, if they are to be restored
        self._restored = False
        self._clock = Clock(parts.compute, self.counters)
        self.steps = parts.batches.steps
        self.step_source = steps or StepSource(parts, None)
        self._saved_at = -math.inf
        self._last_step = self.steps.of(parts.config.epochs)
        self.last_test: Evaluation | None = None  # by this process
        self._measured: list[tuple[float, int, Measured]] = []  # (epoch, step, probes' metrics), not yet logged

    def fit(self) -> Outcome:
        """Train from the present step to the last epoch, a stop, or a loss that is no longer finite."""
        parts, counters = self.parts, self.counters
        if not counters.step:
            self.keep_path_weights()
        if needs_a_pass(parts) and not self.done:
            counters.compile_seconds += pass_ahead(parts)
        while not self.done:
            parts.model.train()
            self._clock.start()
            for images, targets in parts.batches.epoch(counters.epoch, counters.step_in_epoch):
                self.train_batch(images, targets)
                self.check_time()
                if self.done or self._stop_requested() or self.sums.bad_step is not None:
                    break
            self._clock.stop()
            loss, correct = self.sums.read()
            self.flush_probes()  # also if the run ends here
            if (bad := self.sums.bad_step) is not None:
                bad += counters.step - counters.step_in_epoch
                return Outcome("diverged", bad, f"the training loss stopped being finite at step {bad}")
            if not all_finite(parts.model):  # the next loss would show it, but a checkpoint comes first
                return Outcome("diverged", counters.step, f"the weights stopped being finite by step {counters.step}")
            if counters.step_in_epoch == self.steps.in_epoch(counters.epoch) or self.done:
                self.end_epoch(loss / counters.images_seen, correct / counters.images_seen)
            else:
                self.save_checkpoint()
            if self._stop_requested() and not self.done:
                return Outcome("interrupted", counters.step)
        return Outcome("finished", counters.step, self._ending())

    @property
    def done(self) -> bool:
        counters = self.counters
        return bool(counters.ended) or counters.step in (self._last_step, self.parts.config.max_steps)

    @property
    def epoch(self) -> float:
        """Finished epochs, plus the fraction of the present one."""
        return self.counters.epoch + self.counters.step_in_epoch / self.steps.in_epoch(self.counters.epoch)

    @property
    def lr(self) -> float:
        return self.parts.schedule.rates[0]

    def train_batch(self, images: Tensor, targets: Tensor) -> None:
        """Make one optimizer update on images [N, C, H, W] from 0 to 255 and targets [N] or [N, K].

        Probes that are due measure the step before its update. Nothing here waits for the device, except every so many
        steps for the running sums.
        """
        parts, counters, count = self.parts, self.counters, len(targets)
        parts.schedule.set_rate(counters.step)
        due = [probe for probe in parts.probes if probe.due(counters.step)]
        images, targets = parts.ranks.part(images, targets)
        images = parts.normalize(images, parts.compute.memory_format)
        step = self.step_source.of(images, targets, of=count, watched=bool(due), recording=self._recording)
        loss = parts.ranks.backward(step.backward, self.sums.add)
        if due:
            self.run_probes(due, step.view(loss, step=counters.step, epoch=self.epoch, lr=self.lr))
        step.update()
        self.sums.count_step()
        if parts.ema:
            parts.ema.update(counters.step)
        counters.step += 1
        counters.step_in_epoch += 1
        counters.images_seen += count
        self.report_progress()

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Count the seconds of recording a step as those of compiling."""
        begun = time.perf_counter()
        with self._clock.paused():
            yield
        self.counters.compile_seconds += time.perf_counter() - begun

    def check_time(self) -> None:
        """End the run if it has trained for `max_seconds`."""
        limit = self.parts.config.max_seconds
        if limit is None:
            return
        if self.parts.ranks.first_says(self._clock.metrics()["time/train_seconds"] >= limit):
            self.counters.ended = f"stopped after train.max_seconds={limit:g}"

    def run_probes(self, due: Sequence[Probe], view: View) -> None:
        """Measure a step with the probes that are due, between its gradient and its update."""
        metrics: dict[str, Tensor | Ratio | float] = {}
        for probe in due:
            with self._clock.paused() if probe.clocked_apart else contextlib.nullcontext():
                metrics |= probe.measure(view)
        if metrics:
            self._measured.append((view.epoch, view.step, metrics))

    def flush_probes(self) -> None:
        """Read all that the probes have measured from the device at once, and log it."""
        measured, self._measured = self._measured, []
        waiting = [each for *_, metrics in measured for value in metrics.values() for each in _tensors(value)]
        read = iter(torch.stack([value.float() for value in waiting]).tolist() if waiting else [])
        for epoch, step, metrics in measured:
            numbers: dict[str, float] = {}
            for key, value in metrics.items():
                number = value if isinstance(value, int | float) else next(read)
                if not isinstance(value, Ratio) or next(read) != 0:
                    numbers[key] = number
            for sink in self.sinks:
                sink.log(Record(epoch, step, numbers))

    def report_progress(self) -> None:
        """Read the running sums every so many steps, for the progress bar and for a row if one is due."""
        counters, every = self.counters, self.parts.config.log_every
        row_due = every and counters.step % every == 0
        if not row_due and self.parts.compute.device.type != "cpu" and counters.step % _READ_EVERY:
            return
        loss, correct = (total / counters.images_seen for total in self.sums.read())
        self.parts.ranks.look()
        self.flush_probes()
        if self.sums.bad_step is not None:
            return
        metrics = {"train/loss": loss, "train/accuracy": correct} | self._clock.metrics()
        of_epoch = self.steps.in_epoch(counters.epoch), self.steps.images_in(counters.epoch)
        progress = Progress(counters.epoch + 1, self.parts.config.epochs, counters.step_in_epoch, *of_epoch, metrics)
        for sink in self.sinks:
            sink.progress(progress)
        if row_due:
            self._log({"train/loss_running": loss, "optimizer/lr": self.lr})

    def end_epoch(self, loss: float, accuracy: float) -> None:
        """Average, evaluate, decide whether the run is over, log one row and save.

        The checkpoint comes last, so that it includes its own row. An epoch that the run's end cuts short is evaluated
        and logged at its fraction. If an earlier epoch is restored, the row has train/*, val/* and test/* of that.
        """
        config, counters, parts = self.parts.config, self.counters, self.parts
        if counters.step_in_epoch == self.steps.in_epoch(counters.epoch):
            counters.epoch, counters.step_in_epoch = counters.epoch + 1, 0
        metrics = {"train/loss": loss, "train/accuracy": accuracy, "optimizer/lr": self.lr}
        self.update_swa()
        if parts.val:  # it decides, so it is evaluated after every epoch
            metrics |= parts.ranks.of_first(self._evaluate(parts.val).metrics("val/"))
            metrics |= self.check_target(metrics["val/accuracy"])
        improved = parts.monitor.update(metrics)  # never sees the test set
        if parts.monitor.exhausted:
            waited = config.early_stop.patience
            counters.ended = f"stopped early: no better {parts.monitor.metric} for {waited} epochs"
        if self.done or counters.epoch % config.evaluate_every == 0:
            self.last_test = self._evaluate(parts.test)
            metrics |= parts.ranks.of_first(self.last_test.metrics("test/"))
            metrics |= {} if parts.val else self.check_target(metrics["test/accuracy"])
        metrics |= counters.best_accuracies(metrics)
        parts.schedule.epoch_ended(metrics.get(parts.schedule.watched, loss))
        if config.early_stop.restore_best:
            metrics |= self._remember_or_restore(improved, metrics)
        if self.done and parts.also:  # after all that is decided by metrics
            metrics |= parts.ranks.of_first(measure_second_tests(parts.also, self._evaluate_elsewhere))
        metrics |= self._clock.metrics()
        counters.latest |= metrics
        self._log(metrics)
        counters.images_seen = 0
        self.sums.reset()
        if improved and parts.keep_best:
            self._keep("best", self.weights())
        if not self._restored:
            self.keep_path_weights()
        due = counters.epoch % config.checkpoint_every == 0 and parts.ranks.of_first(self._time_to_save())
        if self.done or due or self._stop_requested():
            self.save_checkpoint()

    def keep_path_weights(self) -> None:
        """Keep the evaluated weights if the epoch is 0, the last, or one of every `probe.path.every_epochs`."""
        every = self.parts.path_every
        if every and (self.done or self.counters.epoch % every == 0):
            self._keep(name_of(self.epoch), {"epoch": self.epoch, "evaluated": self.parts.evaluated.state_dict()})

    def save_checkpoint(self) -> None:
        self.flush_probes()  # so that the checkpoint includes their rows
        self._keep("checkpoint", self.state_dict())
        self._saved_at = time.monotonic()

    def _time_to_save(self) -> bool:
        least = seconds_between_checkpoints(self.parts.config, self.parts.compute.device)
        return time.monotonic() - self._saved_at >= least

    def _remember_or_restore(self, improved: bool, metrics: Mapping[str, float]) -> dict[str, float]:
        """Remember the best epoch's weights and means over its batches. At the end of the run, restore both.

        Return the numbers of the restored network, none if it is that of the last epoch. Those of the last epoch are in
        the bests by then.
        """
        parts = self.parts
        if improved:
            weights = {key: value.clone() for key, value in parts.evaluated.state_dict().items()}
            trained = {key: metrics[key] for key in ("train/loss", "train/accuracy")}
            self._best = {"epoch": self.epoch, "weights": weights, "trained": trained}
        if not self.done or self._best.get("epoch", self.epoch) == self.epoch:
            return {}
        self.keep_path_weights()  # those of this epoch
        self._restored = True
        parts.evaluated.load_state_dict(self._best["weights"])
        again = dict(self._best.get("trained", {}))  # a checkpoint of an older trainer has none
        if parts.val:
            again |= parts.ranks.of_first(self._evaluate(parts.val).metrics("val/"))
        self.last_test = self._evaluate(parts.test)
        again |= parts.ranks.of_first(self.last_test.metrics("test/"))
        return again | self.counters.best_accuracies(again) | {"restored_epoch": self._best["epoch"]}

    def update_swa(self) -> None:
        """Add the weights of this epoch to the stochastic average, if the epoch is one of those averaged.

        Its pass over the training set is training, and charged as such.
        """
        parts = self.parts
        ends_to_come = math.ceil(parts.config.epochs) - math.ceil(self.epoch)  # a fraction of an epoch has an end, too
        if parts.swa and ends_to_come < parts.config.swa.epochs:
            with self._clock.added():
                parts.swa.update(parts.model)
                with torch.inference_mode():
                    inputs = (parts.ranks.part(images)[0] for images, _ in parts.batches.epoch(self.counters.epoch))
                    normalized = (parts.normalize(x, parts.compute.memory_format) for x in inputs)
                    parts.swa.refresh_norms(normalized, parts.compute.autocast)
                parts.ranks.average_norms(parts.swa.average)

    def _ending(self) -> str:
        """Return why the run ended before its last epoch, and what that left out of the stochastic average."""
        config, swa, ended = self.parts.config, self.parts.swa, self.counters.ended
        if not swa or swa.count >= min(config.swa.epochs, math.ceil(config.epochs)):
            return ended
        asked = f"train.swa.epochs={config.swa.epochs}"
        some = f"only {swa.count} of {asked} averaged"
        missed = some if swa.count else f"none of {asked} was reached, so no average is evaluated"
        return f"{ended}; {missed}" if ended else missed

    def check_target(self, accuracy: float) -> dict[str, float]:
        """End the run if it has reached `target_accuracy`. Return how long that took."""
        target = self.parts.config.target_accuracy
        if target is None or accuracy < target:
            return {}
        self.counters.ended = f"reached train.target_accuracy={target:g}"
        return {"time/to_target_seconds": self.counters.train_seconds, "epochs_to_target": self.epoch}

    def weights(self) -> dict[str, Any]:
        """Return what an evaluation needs."""
        return {
            "epoch": self.epoch,
            "evaluated_epoch": self._best["epoch"] if self._restored else self.epoch,
            "model": self.parts.model.state_dict(),
            "evaluated": self.parts.evaluated.state_dict(),
            "counters": asdict(self.counters),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs: tensors and plain values. All ranks call it together."""
        parts = self.parts
        parts.ranks.refuse_drift(parts.model)
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
            "probes": {probe.name: probe.state_dict() for probe in parts.probes},
            "random": parts.ranks.random_states(parts.compute.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore everything from `state_dict`. A probe that was off then starts fresh."""
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
        if state["scaler"]:  # empty if the device at that time needed no scaling
            parts.scaler.load_state_dict(state["scaler"])
        vars(self.counters).update(state["counters"])
        self.sums.load(state["sums"], self.counters.step_in_epoch)
        for probe in parts.probes:
            if probe.name in state["probes"]:
                probe.load_state_dict(state["probes"][probe.name])
        parts.ranks.set_random_states(state["random"], parts.compute.device)

    def _evaluate_elsewhere(self, split: Split) -> Evaluation:
        return self._evaluate(split.to(self.parts.compute.device))

    def _evaluate(self, split: Split) -> Evaluation:
        parts, config = self.parts, self.parts.config
        begun = time.perf_counter()
        found = evaluate(
            parts.evaluated,
            split,
            parts.normalize,
            parts.loss_fn,
            parts.compute,
            tta=config.tta,
            tta_share=config.tta_share,
            batch_size=config.eval_batch_size,
            ranks=parts.ranks,
        )  # it has read numbers from the device, so it waited for it
        self.counters.evaluate_seconds += time.perf_counter() - begun
        return found

    def _log(self, metrics: Mapping[str, float]) -> None:
        self.flush_probes()
        record = Record(self.epoch, self.counters.step, metrics)
        for sink in self.sinks:
            sink.log(record)


def seconds_between_checkpoints(config: Train, device: torch.device) -> float:
    """Return how many seconds are at least between two checkpoints of `checkpoint_every`."""
    if config.checkpoint_seconds is not None:
        return config.checkpoint_seconds
    return _SECONDS_ON_A_GPU if device.type == "cuda" else 0.0


def all_finite(model: nn.Module) -> bool:
    """Return whether all weights and statistics are finite. One wait for the device, and few launches on a GPU."""
    values = [value for value in model.state_dict().values() if value.is_floating_point() and value.numel()]
    # The largest magnitude of each. A sum of squares would overflow for large weights that are finite.
    largest = torch._foreach_norm(values, math.inf)  # pyright: ignore[reportPrivateImportUsage]
    return bool(torch.stack(largest).isfinite().all())


def _tensors(value: Tensor | Ratio | float) -> tuple[Tensor, ...]:
    """Return what is to be read from the device: of a ratio, its value and its divisor."""
    match value:
        case Ratio(dividend, divisor):
            return dividend / divisor, divisor
        case Tensor():
            return (value,)
        case _:
            return ()
