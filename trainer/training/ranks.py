"""The processes of one run on several devices, a rank each, as the rest of the trainer sees them.

Every rank draws the same batches, takes its part of each, and makes the same update from the sum of all gradients. So
all ranks have the same weights at every step. Rank 0 decides and writes. In one process these methods do nothing.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainer.errors import UserError
from trainer.seeds import random_state, set_random_state
from trainer.training.spawned import HelpOut

T = TypeVar("T")
Seen = Callable[[Tensor, Tensor], None]
Backward = Callable[[Seen], Tensor]
"""Takes a function of the summed loss [] and the number of correct images [], and returns the objective []."""


class RankLostError(UserError):
    """A rank has ended before the run: it was killed, or it failed."""


class Ranks:
    """One process, rank 0 of 1."""

    rank = 0
    size = 1
    local_rank = 0  # on this machine
    local_size = 1

    def started(self, _help_out: HelpOut, /) -> AbstractContextManager[None]:
        """Start the other ranks, each with that work, and end them with the context."""
        return contextlib.nullcontext()

    def share(self, plan: T) -> T:
        """Meet the other ranks, and return what rank 0 has brought."""
        return plan

    def dismiss(self) -> None:
        """Let the other ranks go: there is nothing to do."""

    def leave(self) -> None:
        """Part from the other ranks."""

    def take(self, model: nn.Module, *, seed: int) -> None:
        """Prepare for sums over the gradient of a model, and draw numbers of this rank's own from now on."""

    def part(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return this rank's part of each tensor [N, ...]. Parts are in order, and differ by at most one in size."""
        return tensors

    def whole(self, part: Tensor, _count: int, /) -> Tensor:
        """Return [N, ...], for N as given, of which each rank has its part."""
        return part

    def backward(self, backward: Backward, seen: Seen) -> Tensor:
        """Run `backward` on this rank's part, make `.grad` that of the whole batch, and tell `seen` its sums."""
        return backward(seen)

    def share_of(self, penalty: Callable[[], Tensor] | None) -> Callable[[], Tensor] | None:
        """Return this rank's share of a penalty, which all ranks add up."""
        return penalty

    def average_norms(self, model: nn.Module) -> None:
        """Average the running statistics of the norms over the ranks."""

    def agreed(self, stop_requested: Callable[[], bool]) -> Callable[[], bool]:
        """Return whether the run is to stop: any rank may be asked, and all know it after the same step."""
        return stop_requested

    def first_says(self, time_is_over: bool) -> bool:
        """Return what rank 0 said at the last look."""
        return time_is_over

    def look(self) -> None:
        """Read from the device what the others have said. Waits for the device."""

    def of_first(self, value: T) -> T:
        """Return rank 0's value, plain."""
        return value

    def random_states(self, device: torch.device) -> Any:
        """Return the state of the generators of every rank, for a checkpoint."""
        return random_state(device)

    def set_random_states(self, states: Any, device: torch.device) -> None:
        """Restore this rank's generators to the result of `random_states`."""
        set_random_state(states[0] if isinstance(states, list) else states, device)

    def refuse_drift(self, model: nn.Module) -> None:
        """Raise RuntimeError if the weights are not the same on every rank, to the bit."""

    def watched(self) -> AbstractContextManager[None]:
        """End this process if another rank ends inside, but this one waits for it on its device."""
        return contextlib.nullcontext()

    def why_lost(self, error: RankLostError) -> str:
        """Return which rank was lost and how, as far as known. Raises an error if it failed by itself."""
        return str(error)


ALONE = Ranks()
