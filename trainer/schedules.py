"""Learning-rate schedules by config: the factor of `optimizer.lr` at each step of a run."""

import math
from collections.abc import Callable
from typing import Any, assert_never

import numpy as np
from torch.optim import Optimizer

from trainer.config.schedule import Constant, Cosine, Piecewise, ReduceOnPlateau, Schedule

Curve = Callable[[float], float]  # epochs since the start, with fractions -> factor


class RateSchedule:
    """Sets each parameter group's rate to its own base rate times one factor.

    The factor at a step is a curve of the epochs done by then (a fraction inside an epoch) times a warm-up ramp,
    times what a plateau has cut so far.
    """

    def __init__(self, config: Schedule, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> None:
        self._curve = build_curve(config, epochs)
        self._warmup = config.warmup_epochs
        self._plateau = Plateau(config) if isinstance(config, ReduceOnPlateau) else None
        self._optimizer, self._steps_per_epoch = optimizer, steps_per_epoch
        self._base = [float(group["lr"]) for group in optimizer.param_groups]

    def factor(self, step: int) -> float:
        """Factor at optimizer step `step`, from 0."""
        epochs = step / self._steps_per_epoch
        ramp = min(1.0, epochs / self._warmup) if self._warmup else 1.0
        return self._curve(epochs) * ramp * (self._plateau.factor if self._plateau else 1.0)

    def set_rate(self, step: int) -> None:
        """Give every group its rate for step `step`."""
        factor = self.factor(step)
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            group["lr"] = base * factor

    def epoch_ended(self, loss: float) -> None:
        """Tell a plateau schedule the epoch's loss (validation, or training where there is no validation set)."""
        if self._plateau:
            self._plateau.look(loss)

    def state_dict(self) -> dict[str, Any]:
        return {"plateau": vars(self._plateau).copy() if self._plateau else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._plateau:
            vars(self._plateau).update(state["plateau"])


class Plateau:
    """The rule of torch.optim.lr_scheduler.ReduceLROnPlateau in its `min`, `rel` mode, as a factor."""

    def __init__(self, config: ReduceOnPlateau) -> None:
        self.factor, self.best, self.bad_epochs, self.cooling = 1.0, math.inf, 0, 0
        self.cut, self.patience, self.cooldown = config.factor, config.patience, config.cooldown
        self.threshold, self.min_factor = config.threshold, config.min_factor

    def look(self, loss: float) -> None:
        if loss < self.best * (1 - self.threshold):
            self.best, self.bad_epochs = loss, 0
        else:
            self.bad_epochs += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            self.factor = max(self.factor * self.cut, self.min_factor)
            self.cooling, self.bad_epochs = self.cooldown, 0


def build_curve(config: Schedule, epochs: int) -> Curve:
    match config:
        case Constant() | ReduceOnPlateau():
            return lambda _: 1.0
        case Cosine(final_factor=low):
            return lambda at: low + (1 - low) * (1 + math.cos(math.pi * min(at / epochs, 1.0))) / 2
        case Piecewise(epochs=knots, factors=factors):
            return lambda at: float(np.interp(at, knots, factors))
        case _:
            assert_never(config)
