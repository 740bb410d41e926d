"""Training steps that a GPU replays: the gradient and the update of each kind of batch, recorded as CUDA graphs.

A small network's step is hundreds of kernels, and starting them from Python takes longer than they do. A recorded graph
starts them all at once. It is the text of Step, recorded: the same kernels in the same order. Between its two graphs
stand the probes, and outside of them what depends on the step's number: averages, slow weights, sums, the rate.

Source: torch.cuda.graph. No GPU has run this yet, so `train.graphs` is off by default (tests/gpu has the comparison).
"""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from trainer.config import RunConfig
from trainer.config.own import is_own
from trainer.errors import first_line
from trainer.protocols import View
from trainer.seeds import random_state
from trainer.training.device import Compute
from trainer.training.optimizers.wrappers import Lookahead
from trainer.training.parts import Parts
from trainer.training.step import Seen, Step

RECORDED_FROM = 3  # the step of a kind that is: those before it warm cuDNN's plans and make the optimizer's state

T = TypeVar("T")
Recording = Callable[[], AbstractContextManager[None]]
"""Makes a context for the seconds of recording, which are not those of training."""


class Record(Protocol):
    """Records the kernels that a function starts. Returns a function that starts them again, and what they write."""

    def __call__(self, work: Callable[[], T]) -> Callable[[], T]: ...


class StepSource:
    """Source of the step of each batch: made for it, or recorded from the third of its kind on."""

    def __init__(self, parts: Parts, record: Record | None) -> None:
        """Nothing is recorded without `record`."""
        self._parts, self._record = parts, record
        self._seen: Counter[tuple[Any, ...]] = Counter()
        self.recorded: dict[tuple[Any, ...], Recorded] = {}

    def of(
        self, images: Tensor, targets: Tensor, *, of: int, watched: bool, recording: Recording = nullcontext
    ) -> Step:
        """Return the step on images [N, C, H, W] and targets [N] or [N, K]. See Step for `of` and `watched`.

        If it is recorded first, that is done in the context `recording`.
        """
        ended = self._parts.schedule.ended
        kind = (images.shape, images.dtype, targets.shape, targets.dtype, ended, bool(ended) and watched)
        self._seen[kind] += 1
        if self._record and self._seen[kind] >= RECORDED_FROM and kind not in self.recorded:
            with recording():
                self._try_to_record(kind, images, targets, watched)
        if kind in self.recorded:
            return self.recorded[kind].load(images, targets, watched=watched)
        return Step(self._parts, images, targets, of=of, watched=watched)

    def _try_to_record(self, kind: tuple[Any, ...], images: Tensor, targets: Tensor, watched: bool) -> None:
        """Record a kind of step, which changes no weight. Go on without if torch cannot."""
        assert self._record
        try:
            self.recorded[kind] = Recorded(self._parts, images, targets, self._record, watched=watched)
        except RuntimeError as error:
            reason = first_line(error.__context__ or error)  # the end of a capture has an error of its own
            print(f"train.graphs: this run's steps cannot be recorded: {reason}", file=sys.stderr)
            self._record = None
            self.recorded.clear()


class Recorded(Step):
    """The step on all batches of one kind. Its images, targets, objective and gradients stay at one place in memory."""

    def __init__(self, parts: Parts, images: Tensor, targets: Tensor, record: Record, *, watched: bool) -> None:
        super().__init__(parts, images.clone(), targets.clone(), watched=watched)
        self._viewed: list[Tensor] = []  # the gradients to go on with, if a probe has looked

        def backward() -> tuple[Tensor, list[tuple[Tensor, Tensor]], list[Tensor | None]]:
            seen: list[tuple[Tensor, Tensor]] = []
            objective = Step.backward(self, lambda loss, correct: seen.append((loss.detach(), correct)))
            return objective, seen, [p.grad for p in self._trained()]

        self._replay_backward = record(backward)
        self._replay_update = record(self._descend)
        self._gradients: list[Tensor | None] = []

    def load(self, images: Tensor, targets: Tensor, *, watched: bool) -> "Recorded":
        """Take the next batch of this kind."""
        self._images.copy_(images)
        self._targets.copy_(targets)
        self._generators = random_state(self._parts.compute.device) if watched else None
        self._viewed = []
        return self

    def backward(self, seen: Seen | None = None) -> Tensor:
        objective, sums, self._gradients = self._replay_backward()
        if seen:
            for loss, correct in sums:
                seen(loss, correct)
        return objective.clone()  # the next replay writes to the same place

    def update(self) -> None:
        if self._viewed:  # a probe may have replayed the gradient at other weights
            now = [g for g in self._gradients if g is not None]
            torch._foreach_copy_(now, self._viewed)  # pyright: ignore[reportPrivateImportUsage]
        self._replay_update()
        if isinstance(optimizer := self._parts.optimizer, Lookahead):
            optimizer.look()

    def view(self, loss: Tensor, *, step: int, epoch: float, lr: float) -> View:
        self._viewed = [g.clone() for g in self._gradients if g is not None]
        return super().view(loss, step=step, epoch=epoch, lr=lr)

    def _found(self) -> list[Tensor | None]:
        """Return copies, for the same reason."""
        return [g if g is None else g.clone() for g in self._gradients]

    def _descend(self) -> None:
        parts = self._parts
        self._clip()
        self._forget_ended()
        (parts.optimizer.optimizer if isinstance(parts.optimizer, Lookahead) else parts.optimizer).step()


def cuda_graphs(compute: Compute) -> Record:
    """Return what records kernels as CUDA graphs that share their memory."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], T]) -> Callable[[], T]:
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream(compute.device)  # Compute.stream: never the default one
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            written = work()

        def replay() -> T:
            graph.replay()
            return written

        return replay

    return record


def source_of_steps(config: RunConfig, parts: Parts) -> StepSource:
    """Return where a run's steps come from. A line on stderr says why they are not recorded if `train.graphs` is on."""
    if not config.train.graphs:
        return StepSource(parts, None)
    if reason := _never_recorded(config, parts):
        print(f"train.graphs: this run's steps are not recorded: {reason}", file=sys.stderr)
        return StepSource(parts, None)
    return StepSource(parts, cuda_graphs(parts.compute))


def _never_recorded(config: RunConfig, parts: Parts) -> str:
    """Return why a run's steps cannot be recorded, or nothing."""
    if parts.compute.device.type != "cuda":
        return f"only CUDA can do that, not {parts.compute.device.type}"
    if parts.ranks.size > 1:
        return "its batches are shared by several devices"
    if parts.scaler.is_enabled():
        return "float16 skips updates, and with that decides in Python"
    if not all(isinstance(group["lr"], Tensor) for group in parts.optimizer.param_groups):
        return f"optimizer.name={config.optimizer.name} reads its rate in Python"
    for section, name in (
        ("model", config.model.name),
        ("loss", config.loss.name),
        ("optimizer", config.optimizer.name),
        ("probe.extra", config.probe.extra.name),
    ):
        if is_own(section, name):
            return f"{section}.name={name} is yours, and may decide in Python"
    if config.model.name.startswith("timm/"):
        return f"model.name={config.model.name} is not one of ours, and may decide in Python"
    if config.probe.shift.is_on:
        return "probe.shift takes the optimizer's next step and takes it back"
    return ""
