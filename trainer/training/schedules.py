"""Learning-rate schedules by config: the factor of `optimizer.lr` at each step of a run."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Protocol, assert_never

import numpy as np

from trainer.config.schedule import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Polynomial,
    ReduceOnPlateau,
    Schedule,
    Step,
)
from trainer.data.steps import Steps

Curve = Callable[[int], float]  # ticks since the start -> factor; a tick is a step or an epoch, as `interval` says


class Rated(Protocol):
    """Something with learning rates: an optimizer, or a stand-in if only the rates are wanted."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...


class RateSchedule:
    """A schedule that sets the rate of each parameter group to its base rate times one factor.

    The factor is a curve over the finished ticks, times the warm-up ramp, times the cuts of a plateau so far. Only the
    plateau depends on anything but the step. A group with an `end_epoch` falls to 0 at that epoch instead.
    """

    def __init__(self, config: Schedule, optimizer: Rated, *, epochs: float, steps: Steps) -> None:
        # A step of the first epoch's size is a tick, and the curve is one over epochs: a larger batch is several ticks.
        self._steps, self._ticks = steps, steps.in_epoch(0) if config.interval == "step" else 1
        self._curve = build_curve(config, epochs=epochs, ticks_per_epoch=self._ticks)
        self._warmup = config.warmup_epochs
        self._plateau = Plateau(config) if isinstance(config, ReduceOnPlateau) else None
        watches_test = self._plateau is not None and self._plateau.config.monitor == "test/loss"
        self.watched = "test/loss" if watches_test else "val/loss"  # the metric that `epoch_ended` is to be told
        self._optimizer = optimizer
        self._base = [float(group.get("base_lr", group["lr"])) for group in optimizer.param_groups]
        self.rates = list(self._base)  # of each group, as last set
        self.ended: tuple[int, ...] = ()  # groups that were past their `end_epoch`, unless all were

    def factor(self, step: int) -> float:
        """Return the factor at optimizer step `step`, from 0."""
        epochs = self._steps.epochs_at(step)
        ramp = min(1.0, float(epochs) / self._warmup) if self._warmup else 1.0
        return self._curve(math.floor(epochs * self._ticks)) * ramp * (self._plateau.factor if self._plateau else 1.0)

    def set_rate(self, step: int) -> None:
        """Set the rate of every group for step `step`."""
        factor, epochs = self.factor(step), float(self._steps.epochs_at(step))
        ended: list[int] = []
        for i, (group, base) in enumerate(zip(self._optimizer.param_groups, self._base, strict=True)):
            end = group.get("end_epoch")
            own = factor if end is None else max(0.0, 1 - epochs / end)
            self.rates[i] = base * own
            set_rate(group, self.rates[i])
            if end is not None and epochs >= end:
                ended.append(i)
        self.ended = tuple(ended) if len(ended) < len(self.rates) else ()

    def epoch_ended(self, loss: float) -> None:
        """Update a plateau schedule with the epoch's loss: that of `watched`, or training where it is not measured."""
        if self._plateau:
            self._plateau.update(loss)

    def state_dict(self) -> dict[str, Any]:
        return {"plateau": self._plateau.state_dict() if self._plateau else None, "rates": list(self.rates)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._plateau:
            vars(self._plateau).update(state["plateau"])
        # An older one left them to the optimizer's state.
        self.rates = list(state.get("rates") or (float(group["lr"]) for group in self._optimizer.param_groups))


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Set the rate of a parameter group. A tensor, which a recorded step may read, stays at its place in memory."""
    if isinstance(group["lr"], float | int):
        group["lr"] = rate
    else:
        group["lr"].fill_(rate)


@dataclass
class Plateau:
    """The rule of torch.optim.lr_scheduler.ReduceLROnPlateau in mode `min`, `rel`, as a factor."""

    config: ReduceOnPlateau
    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0
    cooling: int = 0  # epochs left of the cooldown

    def update(self, loss: float) -> None:
        config = self.config
        if loss < self.best * (1 - config.threshold):
            self.best, self.bad_epochs = loss, 0
        else:
            self.bad_epochs += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.bad_epochs = 0
        if self.bad_epochs > config.patience:
            self.factor = max(self.factor * config.factor, config.min_factor)
            self.cooling, self.bad_epochs = config.cooldown, 0

    def state_dict(self) -> dict[str, float]:
        return {key: value for key, value in vars(self).items() if key != "config"}


def build_curve(config: Schedule, *, epochs: float, ticks_per_epoch: int) -> Curve:
    """Return the factor by ticks for a run of `epochs`, without warm-up and without the cuts of a plateau."""

    def ticks(length: float | None) -> Fraction:
        # An exact fraction: 1.1 * 10 is 11.000000000000002, and a jump there would come a tick late.
        return Fraction(epochs if length is None else length).limit_denominator(10**9) * ticks_per_epoch

    match config:
        case Constant() | ReduceOnPlateau():
            return lambda _: 1.0
        case Step(gamma=gamma):
            every = ticks(config.every_epochs)
            return lambda tick: gamma ** (tick // every)
        case MultiStep(gamma=gamma):
            cuts = [ticks(at) for at in config.milestones]
            return lambda tick: gamma ** bisect_right(cuts, tick)
        case Linear(start_factor=start, final_factor=end):
            total = ticks(config.over_epochs)
            return lambda tick: _line(start, end, min(tick / total, 1))
        case Exponential(gamma=gamma):
            return lambda tick: gamma ** (tick / ticks_per_epoch)
        case Cosine(final_factor=end):
            total = ticks(config.over_epochs)
            return lambda tick: _half_cosine(1, end, tick / total)
        case CosineRestarts():
            return _cosine_restarts(config, ticks(config.first_cycle_epochs))
        case OneCycle():
            return _one_cycle(config, math.ceil(ticks(None)))
        case Cyclic(up_epochs=up, down_epochs=down):
            return _cyclic(config, ticks(up), ticks(up if down is None else down), ticks_per_epoch)
        case Polynomial(power=power):
            total = ticks(config.over_epochs)
            return lambda tick: float(1 - min(tick / total, 1)) ** power
        case Piecewise(epochs=knots, factors=factors):
            return lambda tick: float(np.interp(tick / ticks_per_epoch, knots, factors))
        case _:
            assert_never(config)


def _line(start: float, end: float, share: float | Fraction) -> float:
    return start + (end - start) * float(share)


def _half_cosine(start: float, end: float, share: float | Fraction) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _cosine_restarts(config: CosineRestarts, first: Fraction) -> Curve:
    def factor(tick: int) -> float:
        at, cycle = Fraction(tick), first
        if config.cycle_multiplier == 1:
            at %= cycle
        while at >= cycle:
            at, cycle = at - cycle, cycle * config.cycle_multiplier
        return _half_cosine(1, config.final_factor, at / cycle)

    return factor


def _one_cycle(config: OneCycle, total: int) -> Curve:
    anneal = _half_cosine if config.anneal_strategy == "cos" else _line
    first = 1 / config.div_factor
    up = config.pct_start * total - 1  # each phase ends at its last tick, as in torch
    down = [(2 * up, first)] if config.three_phase else []
    knots = [(0.0, first), (up, 1.0), *down, (total - 1.0, first / config.final_div_factor)]

    def factor(tick: int) -> float:
        for (start, left), (end, right) in pairwise(knots):
            if tick <= end:
                return anneal(left, right, (tick - start) / (end - start) if end > start else 1.0)
        return knots[-1][1]

    return factor


def _cyclic(config: Cyclic, up: Fraction, down: Fraction, ticks_per_epoch: int) -> Curve:
    def factor(tick: int) -> float:
        cycle, at = divmod(tick, up + down)
        height = float(min(at / up, (up + down - at) / down))
        match config.mode:
            case "triangular":
                scale = 1.0
            case "triangular2":
                scale = 0.5**cycle
            case "exp_range":
                scale = config.gamma ** (tick / ticks_per_epoch)
        return _line(config.low_factor, 1, height * scale)

    return factor
