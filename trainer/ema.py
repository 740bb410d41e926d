"""An exponential moving average of a network: its weights and its norms' running statistics."""

import copy

import torch
from torch import nn


class Ema:
    """Keeps `average`, a copy of a network that trails it: average <- r average + (1 - r) network.

    The copy starts as the network's own weights. Every floating-point entry is averaged, counters are copied.
    """

    def __init__(self, model: nn.Module, *, decay: float, every: int) -> None:
        """Update at each `every`-th call with r = decay**every, which costs less and averages over the same span."""
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.every, self.share = every, 1 - decay**every
        self._pairs = [
            (kept, now)
            for kept, now in zip(self.average.state_dict().values(), model.state_dict().values(), strict=True)
            if now.is_floating_point()
        ]
        self._counters = [
            (kept, now)
            for kept, now in zip(self.average.state_dict().values(), model.state_dict().values(), strict=True)
            if not now.is_floating_point()
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimizer step `step`, from 0."""
        if step % self.every == 0:
            kept, now = zip(*self._pairs, strict=True)
            torch._foreach_lerp_(kept, now, self.share)  # pyright: ignore[reportPrivateImportUsage]
            for old, new in self._counters:
                old.copy_(new)
