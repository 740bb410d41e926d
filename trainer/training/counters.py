"""Counters of a run: its position, the sums of the epoch, the seconds of training."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainer.training.device import Compute


@dataclass
class Counters:
    """The position of a run and its best and latest metrics, in plain numbers."""

    epoch: int = 0  # finished
    step: int = 0  # optimizer updates done
    step_in_epoch: int = 0
    build_seconds: float = 0.0  # of the first start: network, optimizer and all else but `prepare_seconds`
    prepare_seconds: float = 0.0  # of the first start: whitening, images on the device, padded and mirrored
    compile_seconds: float = 0.0  # of torch.compile and of recording steps, at every start
    train_seconds: float = 0.0  # inside training steps, and in the passes of `swa`
    evaluate_seconds: float = 0.0  # on the test and validation sets
    images_seen: int = 0  # in this epoch
    best: dict[str, float] = field(default_factory=dict[str, float])  # metric -> best so far
    latest: dict[str, float] = field(default_factory=dict[str, float])  # metric -> last value
    ended: str = ""  # reason to end before the last epoch

    def best_accuracies(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the best of each accuracy so far as `NAME_best`. `test/accuracy_best` is a choice on the test set.

        `test/accuracy_at_best_val` is the test accuracy of the epoch with the best validation accuracy.
        """
        accuracies = {key: metrics[key] for key in ("val/accuracy", "test/accuracy") if key in metrics}
        better = [key for key, value in accuracies.items() if value > self.best.get(key, -1.0)]
        self.best |= {key: accuracies[key] for key in better}
        if "val/accuracy" in better:
            for known in (self.best, self.latest):  # it is of an epoch that is no longer the best
                known.pop("test/accuracy_at_best_val", None)
            self.best |= {"test/accuracy_at_best_val": metrics["test/accuracy"]} if "test/accuracy" in metrics else {}
        kept = {"test/accuracy_at_best_val"} & self.best.keys()
        return {f"{key}_best": self.best[key] for key in accuracies} | {key: self.best[key] for key in kept}


class Sums:
    """Sums of the present epoch. They stay on the device until they are read."""

    def __init__(self, device: torch.device) -> None:
        # Summed loss, correct images, 1 + the epoch's first step of a loss not finite, and its steps.
        self.values = torch.zeros(4, device=device)
        self.bad_step: int | None = None  # of the epoch, as of the last read

    def add(self, loss: Tensor, correct: Tensor) -> None:
        """Add a part of a batch, without waiting for the device."""
        loss = loss.detach()
        first_bad = ~loss.isfinite() & (self.values[2] == 0)
        bad = first_bad * (self.values[3] + 1)
        self.values[:3] += torch.stack([loss, correct.to(loss.dtype), bad])

    def count_step(self) -> None:
        """Count a step, without waiting for the device. So nothing here depends on a number that Python knows."""
        self.values[3] += 1

    def read(self) -> tuple[float, float]:
        """Return (summed loss, correct images). Waits for the device."""
        loss, correct, bad, _ = self.values.tolist()
        self.bad_step = int(bad) - 1 if bad else None
        return loss, correct

    def load(self, values: Tensor, steps: int) -> None:
        """Load those of a checkpoint after so many steps of the epoch. An older one had no count of them."""
        self.values[:3] = values[:3]
        self.values[3] = steps

    def reset(self) -> None:
        self.values.zero_()


class Clock:
    """Seconds of training: those inside its steps, and what is `added`. Evaluation, probes and saving do not count."""

    def __init__(self, compute: Compute, counters: Counters) -> None:
        self._compute, self._counters = compute, counters
        self._since: float | None = None
        self._epoch_seconds, self._seen_before = 0.0, 0

    def start(self) -> None:
        """Start or resume an epoch. Its rate leaves out images that were seen before a resume."""
        self._epoch_seconds, self._seen_before = 0.0, self._counters.images_seen
        self._since = time.perf_counter()

    def stop(self) -> None:
        self._compute.synchronize()
        self._tick()
        self._since = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        running = self._since is not None
        self.stop()
        try:
            yield
        finally:
            self._compute.synchronize()
            self._since = time.perf_counter() if running else None

    @contextlib.contextmanager
    def added(self) -> Iterator[None]:
        """Count a piece of training after an epoch's steps. The rate of images leaves it out."""
        self._compute.synchronize()
        begun = time.perf_counter()
        yield
        self._compute.synchronize()
        self._counters.train_seconds += time.perf_counter() - begun

    def metrics(self) -> dict[str, float]:
        self._tick()
        rate = (self._counters.images_seen - self._seen_before) / max(self._epoch_seconds, 1e-9)
        return {"time/train_seconds": self._counters.train_seconds, "time/images_per_second": rate}

    def _tick(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self._epoch_seconds += now - self._since
            self._counters.train_seconds += now - self._since
            self._since = now
