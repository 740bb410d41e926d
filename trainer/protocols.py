"""What the training loop shows, and what comes back: the contract of loop, probes and sinks.

The loop knows nothing of files, terminals or W&B. It hands a frozen `View` to the probes that are due and a
`Record` to every sink. Metric names are paths (`train/loss`, `test/accuracy`); accuracies are fractions,
times seconds. `epoch` counts finished epochs and may be fractional inside one; `step` counts optimizer updates.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

Status = Literal["running", "finished", "stopped", "interrupted", "diverged", "failed"]
"""stopped: ended early by a server that had seen enough; interrupted: by a signal, to be gone on with."""


@dataclass(frozen=True)
class View:
    """One training step between its gradient and its update, as a probe may look at it.

    The objective is what the step's gradient is taken of: the batch's loss and the penalties of `loss`, not the
    weight decay that an optimizer adds. Parameters are those that require a gradient, in `model.parameters()`'s order.
    """

    step: int
    epoch: float
    lr: float
    model: nn.Module
    images: Tensor  # [N, C, H, W] normalised and augmented, as the step saw them
    targets: Tensor  # [N] classes, or [N, K] probabilities where images are mixed
    loss: Tensor  # [] the objective at the step's weights
    gradient: tuple[Tensor, ...]  # its gradient, one a parameter, before clipping; the step's own: to be read only
    loss_and_gradient: Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
    """The objective of this batch and its gradient at the weights that the model has now, with the dropout masks of the
    step. Computed as the step computed it: precision, parts of a batch, batch statistics. To be called inside
    `probes.untouched`, since it moves norm statistics, generators and `.grad`."""
    next_parameters: Callable[[], tuple[Tensor, ...]]
    """The parameters as the step's update will leave them: the optimizer's own step, clipping too. Moves nothing."""


@dataclass(frozen=True)
class Record:
    """Numbers measured at one moment of a run. Pictures are rare and optional."""

    epoch: float
    step: int
    metrics: Mapping[str, float]
    pictures: Mapping[str, Path] = field(default_factory=dict[str, Path])


@dataclass(frozen=True)
class Progress:
    """The state of the epoch under way, for a person to watch. Nothing here is kept."""

    epoch: int  # the one under way, from 1
    epochs: int
    step_in_epoch: int
    steps_per_epoch: int
    metrics: Mapping[str, float]  # the latest known: train/loss, train/accuracy, time/images_per_second


@dataclass(frozen=True)
class RunInfo:
    """A run as it is announced to the sinks at its start."""

    name: str  # the run folder's name, also the run's name in W&B
    folder: Path
    config: Mapping[str, Any]  # the resolved config, nested, plain values only
    config_hash: str  # of all in it that changes the run's numbers
    provenance: Mapping[str, Any]  # git, versions, device, command: what run.json holds
    resumed: bool  # True when an earlier segment of this run was broken off
    memory: Mapping[str, Any]  # what this sink asked to remember at the last checkpoint, by sink name


def finite_or_none(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """`numbers` with null for what is infinite or not a number, for which JSON has no word."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}


class Probe(Protocol):
    """Numbers out of a training step, nothing moved: the run is to the bit what it is without."""

    name: str
    clocked_apart: bool
    """Its time is not training time. Costs two waits for the device, so not for what is measured at every step."""

    def due(self, step: int) -> bool: ...

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Metrics by their paths; tensors [] are read together with others, later, so that nothing waits for them."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """What is remembered from step to step: tensors and plain values, kept in the checkpoint."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Sink(Protocol):
    """A place where records go. A sink never stops a run: what it cannot send it keeps or reports."""

    name: str

    def start(self, run: RunInfo) -> None: ...

    def progress(self, progress: Progress) -> None:
        """Show where the epoch is. Called at `train.log_every` steps; must be cheap."""
        ...

    def log(self, record: Record) -> None: ...

    def memory(self) -> Mapping[str, Any]:
        """Plain values to be kept in the checkpoint and handed back in `RunInfo.memory[name]` on resume."""
        ...

    def finish(self, status: Status, summary: Mapping[str, Any]) -> str | None:
        """Close. `summary` is the run's headline numbers, flat: `status`, `ended`, `test/accuracy` ...

        Returns the command that sends what could not be sent yet, if anything was left.
        """
        ...


@runtime_checkable
class Supervisor(Protocol):
    """A sink through which somebody else may end the run, such as W&B's server."""

    name: str
    stop_requested: bool
    """Looked at between steps; true ends the run."""

    def has_stopped(self) -> bool:
        """Asked once when the run was interrupted, a signal's reason being unknown: did they want it over?"""
        ...
