"""`optimizer`: the rule that turns a gradient into an update."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    Tag,
    model_validator,
)

from trainer.config.base import Section, Younger, is_settings
from trainer.config.own import OwnPart, own_or

LARGEST = 1e10
"""Largest rate, and largest coefficient of decay. Kernels multiply both, and float32 ends at 3.4e38."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=LARGEST)]
Coefficient = Annotated[float, Field(ge=0, le=LARGEST)]


class Lookahead(Section):
    steps: NonNegativeInt = 0
    """Optimizer steps between two updates of the slow weights (k in Zhang et al. 2019, algorithm 1). 0 turns it off."""
    alpha: float = Field(default=0.5, gt=0, le=1)
    """Share of the way that the slow weights then move towards the fast ones."""
    ramp_power: Annotated[NonNegativeFloat, Younger()] = 0.0
    """Let this share fall from 1 to `alpha` over the run: after t of T steps it is 1 - (1 - alpha) (t / T)^ramp_power.
    0 keeps `alpha` from the start. airbench94 has 3."""


EndEpoch = Annotated[float, Field(ge=1e-3)]


class GroupRate(Section):
    lr_scale: Annotated[Rate | None, Younger()] = None
    """Learning rate, as a multiple of `lr`. null is that of the parameters' usual group."""
    weight_decay: Annotated[Coefficient | None, Younger()] = None
    """Decay coefficient. null is that of the parameters' usual group."""
    end_epoch: Annotated[EndEpoch | None, Younger()] = None
    """Epoch at which the rate has fallen to 0, on a straight line from the start. It then replaces `schedule`, with its
    warm-up. null is that of the parameters' usual group, which follows `schedule` if it has none."""

    @property
    def given(self) -> list[str]:
        """The keys that make the parameters a group of their own."""
        return [key for key, value in self if value is not None]


class _AnyOptimizer(Section):
    lr: Rate
    """Peak learning rate. The schedule multiplies it."""
    weight_decay: Coefficient
    """Decay coefficient of weights (tensors of two or more dimensions)."""
    decay_norm_and_bias: bool | Coefficient = False
    """Decay of biases and of norm scales and shifts. false leaves them out, true decays them like weights, and a number
    is their own coefficient."""
    norm_and_bias_lr_scale: Rate = 1.0
    """Learning rate of biases and norms, as a multiple of `lr` (Page 2019 uses 64)."""
    norm_and_bias_end_epoch: Annotated[EndEpoch | None, Younger()] = None
    """Epoch at which the rate of biases and norms has fallen to 0, as in `head.end_epoch`. null follows `schedule`."""
    head: GroupRate = Field(default_factory=GroupRate)
    """The weight of the last linear layer."""
    first_bias: GroupRate = Field(default_factory=GroupRate)
    """The bias of the first layer, such as that of airbench's whitening."""
    lookahead: Lookahead = Field(default_factory=Lookahead)
    """Slow weights that follow this optimizer's."""

    @model_validator(mode="after")
    def _rates_of_groups_are_rates(self) -> Self:
        scales = {"norm_and_bias_lr_scale": self.norm_and_bias_lr_scale}
        scales |= {f"{name}.lr_scale": rate.lr_scale or 1.0 for name, rate in self.own_groups.items()}
        for key, scale in scales.items():
            if self.lr * scale > LARGEST:
                raise ValueError(f"{key} times lr is {self.lr * scale:g}; a rate is at most {LARGEST:g}")
        return self

    @property
    def own_groups(self) -> dict[str, GroupRate]:
        """The groups of one parameter that the config asks for, by name: `head`, `first_bias`."""
        return {name: rate for name, rate in (("head", self.head), ("first_bias", self.first_bias)) if rate.given}


class _L2Optimizer(_AnyOptimizer):
    weight_decay: Coefficient = 5e-4
    """L2 coefficient: this times a weight is added to its gradient. Biases and norms follow `decay_norm_and_bias`."""


class Sgd(_L2Optimizer):
    name: Literal["sgd"] = "sgd"
    lr: Rate = 0.1
    momentum: Fraction = 0.9
    """Share of the momentum buffer kept at each step."""
    nesterov: bool = False
    """Nesterov momentum: the update is the gradient plus momentum times the buffer (Sutskever et al. 2013)."""
    dampening: Fraction = 0.0
    """Share of the gradient that does not enter the momentum buffer."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError("nesterov=true needs momentum > 0 and dampening = 0")
        return self


class _Moments(Section):
    beta1: Fraction = 0.9
    """Share of the running mean of gradients kept at each step."""
    beta2: Fraction = 0.999
    """Share of the running mean of squared gradients kept at each step. adamax: of the running maximum."""
    eps: PositiveFloat = 1e-8
    """Constant added to the divisor."""


class Adam(_Moments, _L2Optimizer):
    name: Literal["adam"] = "adam"
    lr: Rate = 1e-3
    weight_decay: Coefficient = 0.0


class AdamW(_Moments, _AnyOptimizer):
    name: Literal["adamw"] = "adamw"
    lr: Rate = 1e-3
    weight_decay: Coefficient = 1e-2
    """Decoupled decay (Loshchilov & Hutter 2019) of weights. Biases and norms follow `decay_norm_and_bias`."""


class Adamax(_Moments, _L2Optimizer):
    name: Literal["adamax"] = "adamax"
    lr: Rate = 2e-3
    weight_decay: Coefficient = 0.0


class NAdam(_Moments, _L2Optimizer):
    name: Literal["nadam"] = "nadam"
    lr: Rate = 2e-3
    weight_decay: Coefficient = 0.0
    momentum_decay: NonNegativeFloat = 4e-3
    """Rate at which beta1 warms up (Dozat 2016)."""


class Adadelta(_L2Optimizer):
    name: Literal["adadelta"] = "adadelta"
    lr: Rate = 1.0
    weight_decay: Coefficient = 0.0
    rho: Fraction = 0.9
    """Share of the running mean of squared gradients kept at each step."""
    eps: PositiveFloat = 1e-6
    """Constant added to both running means before their roots."""


class Adagrad(_L2Optimizer):
    name: Literal["adagrad"] = "adagrad"
    lr: Rate = 1e-2
    weight_decay: Coefficient = 0.0
    lr_decay: NonNegativeFloat = 0.0
    """The rate is divided by 1 + lr_decay * step."""
    eps: PositiveFloat = 1e-10
    """Constant added to the divisor."""


class RmsProp(_L2Optimizer):
    name: Literal["rmsprop"] = "rmsprop"
    lr: Rate = 1e-2
    weight_decay: Coefficient = 0.0
    alpha: Fraction = 0.99
    """Share of the running mean of squared gradients kept at each step."""
    momentum: Fraction = 0.0
    """Share of the momentum buffer kept at each step. 0 turns momentum off."""
    centered: bool = False
    """Divide by the estimated standard deviation of the gradient instead of its root mean square."""
    eps: PositiveFloat = 1e-8
    """Constant added to the divisor."""


class Muon(_AnyOptimizer):
    name: Literal["muon"] = "muon"
    lr: Rate = 0.02
    """Peak learning rate of the weights. Their update has singular values of 1 (Jordan et al. 2024)."""
    momentum: Fraction = 0.95
    """Share of the momentum buffer kept at each step."""
    nesterov: bool = True
    """Orthogonalise the gradient plus momentum times the buffer instead of the buffer alone."""
    weight_decay: Coefficient = 0.0
    """Coefficient of the weights' decoupled decay."""
    orthogonalise: Annotated[Literal["weights", "filters"], Younger()] = "weights"
    """Parameters that are moved so: all weights, or only the filters of convolutions."""
    expand: Annotated[Annotated[int, Field(ge=1, le=100)], Younger()] = 5
    """Newton-Schulz steps that bring singular values to between 0.7 and 1.2, with the coefficients of Jordan et al."""
    settle: Annotated[Annotated[int, Field(ge=0, le=100)], Younger()] = 2
    """Newton-Schulz steps that then bring them to 1. The records have none."""
    format: Annotated[Literal["auto", "float32", "bfloat16"], Younger()] = "float32"
    """Number format of the Newton-Schulz steps. auto is bfloat16 in a run in bfloat16, and otherwise float32: hardware
    without bfloat16 is far slower with it."""
    renormalise: Annotated[bool, Younger()] = False
    """Scale each weight [first, ...] to the norm sqrt(first) before each update, so that its size never changes."""
    rest: Literal["sgd", "adamw"] = "sgd"
    """Optimizer of all other parameters: biases and norms, at `norm_and_bias_lr_scale` times `lr`, and with
    orthogonalise=filters linear layers at `lr`."""
    rest_momentum: Annotated[Fraction | None, Younger()] = None
    """Momentum of rest=sgd. null is `momentum`."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=true needs momentum > 0")
        return self


class Timm(_AnyOptimizer):
    name: str = Field(pattern="^timm/")
    """Name of an optimizer in timm's factory, as `timm/NAME`."""
    lr: Rate = 1e-3
    weight_decay: Coefficient = 0.0
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Other arguments of the optimizer, by their names in timm."""


class OwnOptimizer(_AnyOptimizer, OwnPart):
    """An optimizer of yours, built with groups of parameters."""

    lr: Rate = 1e-3
    weight_decay: Coefficient = 0.0


def _choice(value: Any) -> Any:
    name = value.get("name", "sgd") if is_settings(value) else getattr(value, "name", None)
    return "timm" if isinstance(name, str) and name.startswith("timm/") else name


_Closed = Annotated[
    Annotated[Sgd, Tag("sgd")]
    | Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[Adamax, Tag("adamax")]
    | Annotated[NAdam, Tag("nadam")]
    | Annotated[Adadelta, Tag("adadelta")]
    | Annotated[Adagrad, Tag("adagrad")]
    | Annotated[RmsProp, Tag("rmsprop")]
    | Annotated[Muon, Tag("muon")]
    | Annotated[Timm, Tag("timm")],
    Discriminator(_choice),
]
Optimizer = Annotated[
    Annotated[_Closed, Tag("closed")] | Annotated[OwnOptimizer, Tag("own")], own_or("optimizer", _Closed)
]
