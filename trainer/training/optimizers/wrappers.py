"""Optimizers around optimizers: several as one, and slow weights that follow fast ones."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.training.optimizers.eager import Eager


class Together(Eager):
    """Several optimizers that step as one. Its groups are theirs, in their order."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert closure is None
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share()

    def _share(self) -> None:
        """Use the same dict for a group here and in its part, so that a schedule's rate reaches the part."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]


class Lookahead(Eager):
    """Slow weights that follow an optimizer (Zhang, Lucas, Hinton & Ba 2019, algorithm 1).

    After each `every` steps they move a `share` (steps so far -> share) of the way to the weights. The optimizer
    continues from them.
    """

    def __init__(self, optimizer: Optimizer, *, every: int, share: Callable[[int], float]) -> None:
        self.optimizer, self.every, self.share, self.steps = optimizer, every, share, 0
        super().__init__(optimizer.param_groups, {})
        self.param_groups, self.state = optimizer.param_groups, optimizer.state
        self.slow = [p.detach().clone() for p in self._parameters()]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert closure is None
        self.optimizer.step()
        self.look()

    @torch.no_grad()
    def look(self) -> None:
        """Move the slow weights if they are due, after a step of the optimizer."""
        self.steps += 1
        if self.steps % self.every == 0:
            fast = self._parameters()
            torch._foreach_lerp_(self.slow, fast, self.share(self.steps))  # pyright: ignore[reportPrivateImportUsage]
            torch._foreach_copy_(fast, self.slow)  # pyright: ignore[reportPrivateImportUsage]

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "slow": self.slow, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.param_groups, self.state = self.optimizer.param_groups, self.optimizer.state
        for own, kept in zip(self.slow, state_dict["slow"], strict=True):
            own.copy_(kept)
        self.steps = state_dict["steps"]

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]
