"""W&B's `early_terminate`: its brackets, and which runs it stops there (`sweeps` 0.3.0, hyperband_stopping.py)."""

import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from trainer.sweep.strict import StrictSection, Whole

_LAST = 100_000  # epochs; no run has more


class Hyperband(StrictSection):
    """At each bracket, about the best 1/eta of the runs that have reached it continue."""

    type: Literal["hyperband"]
    min_iter: Whole | None = Field(default=None, ge=1)
    """First bracket, in epochs. The next are at min_iter * eta, min_iter * eta**2, ..."""
    max_iter: Whole | None = None
    """Last epoch. The brackets are at max_iter / eta, ..., max_iter / eta**s, as far as they are epochs."""
    s: int | float | None = None
    """Number of brackets below max_iter. It says nothing beside min_iter alone."""
    eta: float = Field(default=3, gt=1)
    strict: bool = True
    """Judge a run by its value at the bracket. Otherwise by its best value so far, which stops fewer."""

    @model_validator(mode="after")
    def _there_are_brackets(self) -> Self:
        if self.min_iter is None and (self.max_iter is None or self.s is None):
            raise ValueError("needs min_iter, or max_iter and s")
        if self.max_iter is not None and self.s is None:  # W&B then looks at max_iter only
            raise ValueError("max_iter needs s, the number of brackets below it")
        if self.max_iter is not None and not isinstance(self.s, int):
            raise ValueError(f"s: {self.s}: not a whole number")
        if not self.brackets:
            raise ValueError(f"max_iter: {self.max_iter}, s: {self.s} and eta: {self.eta:g} give no bracket")
        return self

    @property
    def brackets(self) -> list[int]:
        """Return the epochs at which runs are compared, as W&B computes them: each is cut to a whole number."""
        found: list[int] = []
        if self.max_iter is not None:
            band = float(min(self.max_iter, _LAST))
            for _ in range(min(int(self.s or 0), _LAST)):
                band /= self.eta
                if band < 1:
                    break
                found.append(int(band))
            return sorted(set(found))
        first = band = min(self.min_iter or 1, _LAST)
        while band <= _LAST and len(found) < 100:
            found.append(int(band))
            band *= self.eta
        return sorted(set(found or [first]))


def is_hopeless(
    history: Sequence[float], histories: Sequence[Sequence[float]], early: Hyperband, *, maximize: bool
) -> bool:
    """Return whether a run ends here. `histories` are the metric's finite values of every run, `history` included.

    It is compared at the last bracket that it has reached with all runs that have reached it.
    """
    reached = [bracket for bracket in early.brackets if bracket <= len(history)]
    if not reached:
        return False
    sign = -1 if maximize else 1
    at = reached[-1] - 1
    rivals = sorted(sign * each[at] for each in histories if len(each) > at)
    judged = sign * history[at] if early.strict else min(sign * value for value in history)
    return judged > rivals[int(1.0 / early.eta * len(rivals))]


def finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
