"""`schedule`: the learning rate over the run, as a factor of `optimizer.lr`.

Lengths are in epochs, with fractions where wanted. Where torch.optim.lr_scheduler has the same schedule, the factors
are its own when it is stepped after every step (`interval=step`) or after every epoch (`interval=epoch`). Curves that
jump, and the exponential one, move by epochs unless told otherwise, all others by steps. Momentum is never cycled
(torch's `cycle_momentum=False`).
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

from trainer.config.base import Section

Epochs = Annotated[float, Field(ge=1e-3)]
Decay = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _AnySchedule(Section):
    warmup_epochs: NonNegativeFloat = 0.0
    """The factor is multiplied by a ramp from 0 to 1 over these epochs, step by step whatever the interval."""


class _BySteps(_AnySchedule):
    interval: Literal["step", "epoch"] = "step"
    """step: the factor moves at every step; epoch: only where an epoch begins."""


class _ByEpochs(_AnySchedule):
    interval: Literal["step", "epoch"] = "epoch"
    """epoch: the factor moves only where an epoch begins; step: at any step."""


class Constant(_BySteps):
    name: Literal["constant"] = "constant"


class Step(_ByEpochs):
    name: Literal["step"] = "step"
    every_epochs: Epochs = 10.0
    """Epochs between cuts."""
    gamma: Decay = 0.1
    """The factor is multiplied by this at each cut."""


class MultiStep(_ByEpochs):
    name: Literal["multistep"] = "multistep"
    milestones: tuple[Epochs, ...] = Field(default=(12.5, 18.75), min_length=1)
    """Epochs at which the factor is cut, rising."""
    gamma: Decay = 0.1
    """The factor is multiplied by this at each milestone."""

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
    """Factor at the end of the line, and from there on."""
    over_epochs: Epochs | None = None
    """Length of the line; null: `train.epochs`."""


class Exponential(_ByEpochs):
    name: Literal["exponential"] = "exponential"
    gamma: Decay = 0.95
    """The factor after t epochs is gamma^t, whatever the interval: by steps each takes its part of an epoch's decay."""


class Cosine(_BySteps):
    name: Literal["cosine"] = "cosine"
    final_factor: NonNegativeFloat = 0.0
    """Factor at the end of half a cosine from 1."""
    over_epochs: Epochs | None = None
    """Length of the half cosine; null: `train.epochs`. A longer run climbs the other half, as with torch's."""


class CosineRestarts(_BySteps):
    """Warm restarts (Loshchilov & Hutter 2017, SGDR)."""

    name: Literal["cosine_restarts"] = "cosine_restarts"
    first_cycle_epochs: Epochs = 5.0
    """Length of the first half cosine, after which the factor jumps back to 1."""
    cycle_multiplier: PositiveInt = 1
    """Each cycle is as many times as long as the one before."""
    final_factor: NonNegativeFloat = 0.0
    """Factor towards which each cycle falls."""


class OneCycle(_BySteps):
    """Up to the peak, which is `optimizer.lr`, and down again over the run (Smith & Topin 2018)."""

    name: Literal["one_cycle"] = "one_cycle"
    pct_start: float = Field(default=0.3, ge=0, lt=1)
    """Share of the run that is spent on the way up."""
    div_factor: float = Field(default=25.0, ge=1)
    """The first factor is 1 / div_factor."""
    final_div_factor: PositiveFloat = 1e4
    """The last factor is 1 / (div_factor * final_div_factor)."""
    anneal_strategy: Literal["cos", "linear"] = "cos"
    """Shape of each way."""
    three_phase: bool = False
    """Down as fast as up, to 1 / div_factor, and only then to the last factor; false: straight to the last factor."""

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
    """Epochs from the peak to the low factor; null: as many as up."""
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    """triangular: all as high as the first; triangular2: each half as high as the one before; exp_range: the height
    falls all the time, by `gamma`."""
    gamma: Decay = 1.0
    """exp_range: the height after t epochs is gamma^t of the first."""

    @model_validator(mode="after")
    def _gamma_needs_exp_range(self) -> Self:
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError(f"gamma={self.gamma} needs mode=exp_range")
        return self


class ReduceOnPlateau(_AnySchedule):
    name: Literal["reduce_on_plateau"] = "reduce_on_plateau"
    interval: Literal["epoch"] = "epoch"
    """The loss is looked at where an epoch ends."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    """The rate is multiplied by this at each cut, however small a cut that is (torch's `eps=0`)."""
    patience: NonNegativeInt = 5
    """Epochs without a better loss (validation, or training where `data.val_fraction` is 0) before a cut."""
    cooldown: NonNegativeInt = 5
    """Epochs after a cut in which none is counted."""
    threshold: float = Field(default=1e-4, ge=0, lt=1)
    """Relative improvement that counts as better."""
    min_factor: float = Field(default=0.0, ge=0, lt=1)
    """No cut goes below this factor of `optimizer.lr`."""


class Polynomial(_BySteps):
    name: Literal["polynomial"] = "polynomial"
    power: PositiveFloat = 0.9
    """The factor is (1 - share done)^power; 0.9 is of Chen et al. 2017 (DeepLab)."""
    over_epochs: Epochs | None = None
    """Epochs after which the factor is 0 and stays so; null: `train.epochs`."""


class Piecewise(_BySteps):
    name: Literal["piecewise"] = "piecewise"
    epochs: tuple[NonNegativeFloat, ...] = Field(default=(0.0, 1.0), min_length=1)
    """Knots in epochs, rising; the factor is linear between two knots and flat outside them."""
    factors: tuple[NonNegativeFloat, ...] = (1.0, 1.0)
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
