"""`schedule`: the learning rate over the run, as a factor of `optimizer.lr`.

Lengths are in epochs and may be fractions. If torch.optim.lr_scheduler has the same schedule, the factors equal those
of torch, stepped after every step (`interval=step`) or after every epoch (`interval=epoch`). By default, curves that
jump and the exponential one change per epoch, all others per step. Momentum is never cycled (torch's
`cycle_momentum=False`).
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from trainer.config.base import Section, Younger

Epochs = Annotated[float, Field(ge=1e-3)]
Factor = Annotated[float, Field(ge=0, le=1e10)]
Decay = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _AnySchedule(Section):
    warmup_epochs: NonNegativeFloat = 0.0
    """Length of the warm-up: a ramp from 0 to 1 that multiplies the factor, step by step for either interval."""


class _BySteps(_AnySchedule):
    interval: Literal["step", "epoch"] = "step"
    """step changes the factor at every step, epoch only at the start of an epoch."""


class _ByEpochs(_AnySchedule):
    interval: Literal["step", "epoch"] = "epoch"
    """epoch changes the factor only at the start of an epoch, step at any step."""


class Constant(_BySteps):
    name: Literal["constant"] = "constant"


class Step(_ByEpochs):
    name: Literal["step"] = "step"
    every_epochs: Epochs = 10.0
    """Epochs between two cuts."""
    gamma: Decay = 0.1
    """Number by which each cut multiplies the factor."""


class MultiStep(_ByEpochs):
    name: Literal["multistep"] = "multistep"
    milestones: tuple[Epochs, ...] = Field(default=(12.5, 18.75), min_length=1)
    """Epochs at which the factor is cut, in rising order."""
    gamma: Decay = 0.1
    """Number by which each milestone multiplies the factor."""

    @field_validator("milestones")
    @classmethod
    def _milestones_rise(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(left >= right for left, right in pairwise(milestones)):
            raise ValueError(f"milestones must rise, got {list(milestones)}")
        return milestones


class Linear(_BySteps):
    name: Literal["linear"] = "linear"
    start_factor: Share = 1.0
    """Factor at the first step."""
    final_factor: Share = 0.0
    """Factor at the end of the line and after it."""
    over_epochs: Epochs | None = None
    """Length of the line. null means `train.epochs`."""


class Exponential(_ByEpochs):
    name: Literal["exponential"] = "exponential"
    gamma: Decay = 0.95
    """The factor after t epochs is gamma^t for either interval. With steps, t is a fraction."""


class Cosine(_BySteps):
    name: Literal["cosine"] = "cosine"
    final_factor: Factor = 0.0
    """Factor at the end of half a cosine that starts at 1."""
    over_epochs: Epochs | None = None
    """Length of the half cosine. null means `train.epochs`. A longer run goes up the other half, as in torch."""


class CosineRestarts(_BySteps):
    """Half cosines with warm restarts (Loshchilov & Hutter 2017, SGDR)."""

    name: Literal["cosine_restarts"] = "cosine_restarts"
    first_cycle_epochs: Epochs = 5.0
    """Length of the first half cosine. After it the factor jumps back to 1."""
    cycle_multiplier: PositiveInt = 1
    """Length of each cycle as a multiple of the previous one."""
    final_factor: Factor = 0.0
    """Factor at the end of each cycle."""


class OneCycle(_BySteps):
    """One rise to `optimizer.lr` and one fall over the run (Smith & Topin 2018)."""

    name: Literal["one_cycle"] = "one_cycle"
    pct_start: float = Field(default=0.3, ge=0, lt=1)
    """Share of the run in which the factor rises."""
    div_factor: float = Field(default=25.0, ge=1)
    """The first factor is 1 / div_factor."""
    final_div_factor: float = Field(default=1e4, ge=1e-10)
    """The last factor is 1 / (div_factor * final_div_factor)."""
    anneal_strategy: Literal["cos", "linear"] = "cos"
    """Shape of the rise and the fall."""
    three_phase: bool = False
    """Fall as fast as the rise to 1 / div_factor, then to the last factor. false falls to the last factor at once."""

    @model_validator(mode="after")
    def _three_phases_fit(self) -> Self:
        if self.three_phase and self.pct_start > 0.5:
            raise ValueError(f"three_phase=true needs pct_start <= 0.5, got {self.pct_start}")
        return self


class Cyclic(_BySteps):
    """Triangles between a low factor and 1 (Smith 2017)."""

    name: Literal["cyclic"] = "cyclic"
    low_factor: float = Field(default=0.1, ge=0, lt=1)
    """Factor at the start and between the triangles."""
    up_epochs: Epochs = 2.5
    """Epochs from the low factor to the peak."""
    down_epochs: Epochs | None = None
    """Epochs from the peak to the low factor. null means `up_epochs`."""
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    """Height of the triangles. triangular: all are equal. triangular2: each is half as high as the one before.
    exp_range: the height falls at every tick by `gamma`."""
    gamma: Decay = 1.0
    """Decay for exp_range: the height after t epochs is gamma^t."""

    @model_validator(mode="after")
    def _gamma_needs_exp_range(self) -> Self:
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError(f"gamma={self.gamma} needs mode=exp_range")
        return self


class ReduceOnPlateau(_AnySchedule):
    name: Literal["reduce_on_plateau"] = "reduce_on_plateau"
    interval: Literal["epoch"] = "epoch"
    """The loss is checked at the end of each epoch."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    """Number by which each cut multiplies the rate. No cut is too small (torch's `eps=0`)."""
    monitor: Annotated[Literal["auto", "test/loss"], Younger()] = "auto"
    """Loss that is watched. auto is the validation loss, or training if `data.val_fraction` is 0. test/loss lets the
    test set choose the rate, so the test accuracy flatters the run. It is there to repeat a report that did so."""
    patience: NonNegativeInt = 5
    """Epochs without a better loss before a cut."""
    cooldown: NonNegativeInt = 5
    """Epochs after a cut that do not count."""
    threshold: float = Field(default=1e-4, ge=0, lt=1)
    """Relative improvement that counts as a better loss."""
    min_factor: float = Field(default=0.0, ge=0, lt=1)
    """Lowest factor of `optimizer.lr` that cuts can reach."""


class Polynomial(_BySteps):
    name: Literal["polynomial"] = "polynomial"
    power: PositiveFloat = 0.9
    """The factor is (1 - finished share of the run)^power. 0.9 is from Chen et al. 2017 (DeepLab)."""
    over_epochs: Epochs | None = None
    """Epochs after which the factor stays 0. null means `train.epochs`."""


class Piecewise(_BySteps):
    name: Literal["piecewise"] = "piecewise"
    epochs: tuple[NonNegativeFloat, ...] = Field(default=(0.0, 1.0), min_length=1)
    """Knots in rising order. The factor is linear between two knots and constant outside them."""
    factors: tuple[Factor, ...] = (1.0, 1.0)
    """Factor at each knot."""

    @model_validator(mode="after")
    def _knots_make_a_curve(self) -> Self:
        if len(self.epochs) != len(self.factors):
            raise ValueError(f"{len(self.epochs)} epochs but {len(self.factors)} factors; give one factor a knot")
        if any(left >= right for left, right in pairwise(self.epochs)):
            raise ValueError(f"epochs must rise from knot to knot, got {list(self.epochs)}")
        return self


Schedule = Annotated[
    Constant
    | Step
    | MultiStep
    | Linear
    | Exponential
    | Cosine
    | CosineRestarts
    | OneCycle
    | Cyclic
    | ReduceOnPlateau
    | Polynomial
    | Piecewise,
    Field(discriminator="name"),
]
