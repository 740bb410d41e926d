"""Averaged networks: an exponential moving average, and stochastic weight averaging."""

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from models.layers import batch_norms
from trainer.config.train import Train
from trainer.errors import ConfigError

_OF_RECIPES = 5
"""The recipes' own `train.ema.every`, which must not forbid a trial of fewer steps."""


def refuse_rare_updates(train: Train, steps: int) -> None:
    """Raise ConfigError if a moving average would be the network after the first of a run's steps, to the end."""
    every = train.ema.every
    if train.ema.decay and every >= steps and every > _OF_RECIPES:
        raise ConfigError(
            f"train.ema.every: {every}: the run has {steps} steps, so the average that is evaluated would not follow "
            "the network after the first; set train.ema.every=1, or train.ema.decay=0"
        )


class Ema:
    """A copy of a network, `average`, that follows it: average <- r average + (1 - r) network.

    The copy starts with the network's weights. Floating-point entries are averaged, counters are copied.
    """

    def __init__(self, model: nn.Module, *, decay: float, every: int, warmup: bool) -> None:
        """Update at every `every`-th call with r = decay**every. This costs less for the same span.

        With `warmup` the decay at step t is min(decay, (1 + t) / (10 + t)).
        """
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.every, self.warmup = decay, every, warmup
        pairs = _each_once(self.average, model)
        self._pairs = [pair for pair in pairs if pair[1].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[1].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after optimizer step `step`, from 0."""
        if step % self.every == 0:
            kept, now = zip(*self._pairs, strict=True)
            decay = min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay
            torch._foreach_lerp_(kept, now, 1 - decay**self.every)  # pyright: ignore[reportPrivateImportUsage]
            for old, new in self._counters:
                old.copy_(new)


class Swa:
    """The mean of a network's weights at each call of `update`, as `average`.

    Source: Izmailov et al. 2018, arXiv 1803.05407, algorithm 1.
    """

    def __init__(self, model: nn.Module) -> None:
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.count = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.count += 1
        for kept, now in _each_once(self.average, model):
            if kept.is_floating_point():
                kept.lerp_(now, 1 / self.count)
            else:
                kept.copy_(now)

    @torch.no_grad()
    def refresh_norms(self, batches: Iterable[Tensor], autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        """Compute the BatchNorm statistics of the averaged weights, as the mean over batches [N, C, H, W].

        The averaged statistics belong to other networks than the average. `autocast` is around each forward pass alone:
        batches are made as training makes them.
        """
        if not (norms := batch_norms(self.average)):
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        for norm in norms:
            norm.train()  # only the norms: dropout stays off
        for images in batches:
            with autocast():
                self.average(images)
        self.average.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average.state_dict(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average.load_state_dict(state["average"])
        self.count = state["count"]


def _each_once(average: nn.Module, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return (average's, network's) of each tensor. One that several layers share has a name for each of them."""
    pairs = zip(average.state_dict().values(), model.state_dict().values(), strict=True)
    return list({(kept.data_ptr(), kept.numel()): (kept, now) for kept, now in pairs}.values())
