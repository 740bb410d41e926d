"""`optimizer`: how a gradient becomes an update."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, Tag, model_validator

from trainer.config.base import Section, is_settings

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Lookahead(Section):
    steps: NonNegativeInt = 0
    """Steps of the optimizer between two of the slow weights (k of Zhang et al. 2019, algorithm 1); 0: none."""
    alpha: float = Field(default=0.5, gt=0, le=1)
    """How far the slow weights then go towards the fast ones."""


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
    lookahead: Lookahead = Field(default_factory=Lookahead)
    """Slow weights that follow this optimizer's."""


class _L2Optimizer(_AnyOptimizer):
    weight_decay: NonNegativeFloat = 5e-4
    """L2 coefficient: this times a weight is added to its gradient; on weights only unless `decay_norm_and_bias`
    says otherwise."""


class Sgd(_L2Optimizer):
    name: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    momentum: Fraction = 0.9
    """Share of the old buffer kept at each step."""
    nesterov: bool = False
    """Look ahead: the update is the gradient plus momentum times the buffer (Sutskever et al. 2013)."""
    dampening: Fraction = 0.0
    """Share of the gradient that the momentum buffer leaves out."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError("nesterov=true needs momentum > 0 and dampening = 0")
        return self


class _Moments(Section):
    beta1: Fraction = 0.9
    """Share of the old running mean of gradients kept at each step."""
    beta2: Fraction = 0.999
    """Share of the old running mean of their squares, or of their running maximum for adamax."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor."""


class Adam(_Moments, _L2Optimizer):
    name: Literal["adam"] = "adam"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0


class AdamW(_Moments, _AnyOptimizer):
    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2
    """Decoupled decay (Loshchilov & Hutter 2019), on weights only unless `decay_norm_and_bias` says otherwise."""


class Adamax(_Moments, _L2Optimizer):
    name: Literal["adamax"] = "adamax"
    lr: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 0.0


class NAdam(_Moments, _L2Optimizer):
    name: Literal["nadam"] = "nadam"
    lr: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 0.0
    momentum_decay: NonNegativeFloat = 4e-3
    """Speed at which beta1 warms up (Dozat 2016)."""


class Adadelta(_L2Optimizer):
    name: Literal["adadelta"] = "adadelta"
    lr: PositiveFloat = 1.0
    weight_decay: NonNegativeFloat = 0.0
    rho: Fraction = 0.9
    """Share of the old running mean of squares kept at each step."""
    eps: PositiveFloat = 1e-6
    """Added to both running means before their roots."""


class Adagrad(_L2Optimizer):
    name: Literal["adagrad"] = "adagrad"
    lr: PositiveFloat = 1e-2
    weight_decay: NonNegativeFloat = 0.0
    lr_decay: NonNegativeFloat = 0.0
    """The rate is divided by 1 + this times the steps done."""
    eps: PositiveFloat = 1e-10
    """Added to the divisor."""


class RmsProp(_L2Optimizer):
    name: Literal["rmsprop"] = "rmsprop"
    lr: PositiveFloat = 1e-2
    weight_decay: NonNegativeFloat = 0.0
    alpha: Fraction = 0.99
    """Share of the old running mean of squares kept at each step."""
    momentum: Fraction = 0.0
    """Share of the old buffer kept at each step; 0: no buffer."""
    centered: bool = False
    """Divide by the estimated standard deviation of the gradient, not by its root mean square."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor."""


class Muon(_AnyOptimizer):
    name: Literal["muon"] = "muon"
    lr: PositiveFloat = 0.02
    """Rate of the weights, whose update has singular values of 1 (Jordan et al. 2024)."""
    momentum: Fraction = 0.95
    """Share of the old buffer kept at each step."""
    nesterov: bool = True
    """Orthogonalise the gradient plus momentum times the buffer, not the buffer alone."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled decay of the weights."""
    rest: Literal["sgd", "adamw"] = "sgd"
    """What updates biases and norms, at `norm_and_bias_lr_scale` times `lr`: SGD of the same momentum, or AdamW."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=true needs momentum > 0")
        return self


class Timm(_AnyOptimizer):
    name: str = Field(pattern="^timm/")
    """`timm/NAME`, an optimizer of timm's factory."""
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The optimizer's other arguments, in timm's words."""


def _choice(value: Any) -> Any:
    name = value.get("name", "sgd") if is_settings(value) else getattr(value, "name", None)
    return "timm" if isinstance(name, str) and name.startswith("timm/") else name


Optimizer = Annotated[
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
