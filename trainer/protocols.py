"""The contract between training loop, probes and sinks.

The loop knows nothing about files, terminals or W&B. It passes a frozen `View` to the probes that are due and a
`Record` to every sink. Metric names are paths (`train/loss`, `test/accuracy`). Accuracies are fractions, times are
seconds. `epoch` counts finished epochs and is a fraction inside one. `step` counts optimizer updates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

Status = Literal["running", "finished", "stopped", "interrupted", "diverged", "failed"]
"""stopped: ended early by its sweep or a server. interrupted: ended by a signal, to be resumed."""


@dataclass(frozen=True)
class View:
    """One training step between its gradient and its update, for a probe.

    The objective is the function whose gradient the step uses: the batch's loss and the penalties of `loss`, without
    the weight decay of the optimizer. Parameters are those that require a gradient, in the order of
    `model.parameters()`.
    """

    step: int
    epoch: float
    lr: float
    model: nn.Module
    images: Tensor  # [N, C, H, W] normalised and augmented, as in the step
    targets: Tensor  # [N] classes, or [N, K] probabilities where images are mixed
    loss: Tensor  # [] the objective at the step's weights
    gradient: tuple[Tensor, ...]  # its gradient by parameter, before clipping; belongs to the step: read only
    loss_and_gradient: Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
    """Objective of this batch and its gradient at the model's present weights, with the dropout masks of the step. They
    are computed as in the step: precision, parts of a batch, batch statistics. Call this inside `probes.untouched`,
    since it changes norm statistics, generators and `.grad`."""
    gradients_of_parts: Callable[[int], list[tuple[Tensor, ...]]]
    """Gradients of the objective on K equal parts of this batch, by parameter, each scaled as that of the whole batch.
    Images left over by the division are in none. A part is processed at once if it is not larger than the pieces of the
    step (`train.accumulate`), otherwise in pieces of about their size. Call this inside `probes.untouched`, too."""
    next_parameters: Callable[[], tuple[Tensor, ...]]
    """Parameters after the step's update, with the optimizer's own step and clipping. Changes nothing."""


@dataclass(frozen=True)
class Record:
    """Numbers measured at one moment of a run. Pictures are rare and optional."""

    epoch: float
    step: int
    metrics: Mapping[str, float]
    pictures: Mapping[str, Path] = field(default_factory=dict[str, Path])


@dataclass(frozen=True)
class Progress:
    """The state of the present epoch, for a person to watch. Nothing here is kept."""

    epoch: int  # the present one, from 1
    epochs: float  # of the whole run
    step_in_epoch: int
    steps_per_epoch: int  # of the present one, as are its images
    images_per_epoch: int
    metrics: Mapping[str, float]  # the latest known: train/loss, train/accuracy, time/images_per_second


@dataclass(frozen=True)
class RunInfo:
    """A run as the sinks see it at its start."""

    name: str  # the run folder's name, also the run's name in W&B
    folder: Path
    config: Mapping[str, Any]  # the resolved config, nested, plain values only
    config_hash: str  # of all keys that change the run's numbers
    provenance: Mapping[str, Any]  # git, versions, device, command: the content of run.json
    resumed: bool  # True if an earlier segment of this run was interrupted
    memory: Mapping[str, Any]  # this sink's `memory()` at the last checkpoint


class Ratio(NamedTuple):
    """A quotient of tensors []. It is absent if its divisor is 0, which the device may be the first to know."""

    dividend: Tensor
    divisor: Tensor


Measured = Mapping[str, Tensor | Ratio | float]
"""Metrics by their paths. Tensors [] are read later, all together, so that nothing waits for them."""


class Probe(Protocol):
    """A measurement of a training step that changes nothing: the run is bit-identical without it."""

    name: str
    clocked_apart: bool
    """True if its time does not count as training time. This costs two waits for the device per measurement."""

    def due(self, step: int) -> bool: ...

    def measure(self, view: View) -> Measured: ...

    def state_dict(self) -> Mapping[str, Any]:
        """Return the memory from step to step, for the checkpoint: tensors and plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Sink(Protocol):
    """A destination of records. A sink never stops a run: it keeps or reports what it cannot send."""

    name: str

    def start(self, run: RunInfo) -> None: ...

    def progress(self, progress: Progress) -> None:
        """Show the progress of the epoch. It is called often, on a CPU at every step, and must be cheap."""
        ...

    def log(self, record: Record) -> None: ...

    def memory(self) -> Mapping[str, Any]:
        """Return plain values for the checkpoint. A resume returns them in `RunInfo.memory`."""
        ...

    def finish(self, status: Status, summary: Mapping[str, Any]) -> str | None:
        """Close the sink. `summary` contains the run's headline numbers, flat: `status`, `ended`, `test/accuracy` ...

        Return the command that sends what is not sent yet, if there is anything left.
        """
        ...


@runtime_checkable
class Supervisor(Protocol):
    """A sink through which somebody else may end the run, such as W&B's server."""

    name: str
    stop_requested: bool
    """Flag that is checked between steps. True ends the run."""

    def has_stopped(self) -> bool:
        """Return whether the server wanted the run to end. It is called once if a signal has interrupted the run."""
        ...
