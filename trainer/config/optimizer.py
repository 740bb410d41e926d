"""`optimizer`: how a gradient becomes an update."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from trainer.config.base import Section


class _AnyOptimizer(Section):
    lr: PositiveFloat
    """Peak learning rate; the schedule multiplies it."""
    weight_decay: NonNegativeFloat
    """Decay coefficient of weights (tensors of two or more dimensions)."""
    decay_norm_and_bias: bool | NonNegativeFloat = False
    """Decay of biases and norm scales and shifts: false leaves them out, true decays them like weights,
    a number is a coefficient of their own."""
    norm_and_bias_lr_scale: PositiveFloat = 1.0
    """Their learning rate as a multiple of `lr` (Page 2019 uses 64)."""


class Sgd(_AnyOptimizer):
    name: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 5e-4
    """L2 coefficient per step, on weights only unless `decay_norm_and_bias` says otherwise."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=true needs momentum > 0")
        return self


class AdamW(_AnyOptimizer):
    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 1e-2
    """Decoupled decay (Loshchilov & Hutter 2019), on weights only unless `decay_norm_and_bias` says otherwise."""


Optimizer = Annotated[Sgd | AdamW, Field(discriminator="name")]
