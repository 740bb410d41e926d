"""`schedule`: the learning rate over the run, as a factor of `optimizer.lr`."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from trainer.config.base import Section


class _AnySchedule(Section):
    warmup_epochs: NonNegativeFloat = 0.0
    """The factor is multiplied by a ramp from 0 to 1 over these epochs, step by step."""


class Constant(_AnySchedule):
    name: Literal["constant"] = "constant"


class Cosine(_AnySchedule):
    name: Literal["cosine"] = "cosine"
    final_factor: NonNegativeFloat = 0.0
    """Factor at the end of `train.epochs`; half a cosine from 1 down to it, step by step."""


class Piecewise(_AnySchedule):
    name: Literal["piecewise"] = "piecewise"
    epochs: tuple[NonNegativeFloat, ...] = (0.0, 1.0)
    """Knots in epochs, rising; the factor is linear between two knots and flat outside them, step by step."""
    factors: tuple[NonNegativeFloat, ...] = (1.0, 1.0)
    """Factor at each knot."""

    @model_validator(mode="after")
    def _knots_make_a_curve(self) -> Self:
        if len(self.epochs) != len(self.factors):
            raise ValueError(f"{len(self.epochs)} epochs but {len(self.factors)} factors; give one factor a knot")
        if not self.epochs or any(left >= right for left, right in pairwise(self.epochs)):
            raise ValueError(f"epochs must rise from knot to knot, got {list(self.epochs)}")
        return self


class ReduceOnPlateau(_AnySchedule):
    name: Literal["reduce_on_plateau"] = "reduce_on_plateau"
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: NonNegativeInt = 5
    """Epochs without a better loss (validation, or training where `data.val_fraction` is 0) before a cut."""
    cooldown: NonNegativeInt = 5
    """Epochs after a cut in which none is counted."""
    threshold: NonNegativeFloat = 1e-4
    """Relative improvement that counts as better."""
    min_factor: NonNegativeFloat = 0.0


Schedule = Annotated[Constant | Cosine | Piecewise | ReduceOnPlateau, Field(discriminator="name")]
