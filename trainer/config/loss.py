"""`loss`: the training loss. N images, K classes. A target is one-hot, or soft with `augment.mix`."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, Tag

from trainer.config.base import Section
from trainer.config.own import OwnPart, own_or


class _Summed(Section):
    reduction: Literal["mean", "sum"] = "mean"
    """Mean or sum over the images of a batch, for the gradient. Logged losses are always means."""
    l1: NonNegativeFloat = 0.0
    """Coefficient of the sum of absolute weights (tensors of two or more dimensions). It is added to the loss of each
    batch, but to no logged loss."""
    l2: NonNegativeFloat = 0.0
    """Coefficient of the sum of squared weights, added in the same way. With plain SGD its gradient is that of
    `optimizer.weight_decay` = 2 l2."""


class _AnyLoss(_Summed):
    class_weights: tuple[NonNegativeFloat, ...] | None = None
    """K factors, one for each class's term in the loss of an image. null means 1 for all. A mean still divides by the
    number of images."""


class CrossEntropy(_AnyLoss):
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the uniform distribution in the target (Szegedy et al. 2016, section 7)."""


class Focal(_AnyLoss):
    name: Literal["focal"] = "focal"
    gamma: NonNegativeFloat = 2.0
    """Exponent in (1 - p)^gamma, the factor of cross entropy. p is the probability of the true class (Lin et al. 2017,
    eq. 4). 0 is plain cross entropy."""
    alpha: PositiveFloat = 1.0
    """Factor of the whole loss (eq. 5). For a factor per class use `class_weights`."""


class _Regression(_AnyLoss):
    scores: Literal["logits", "softmax"] = "logits"
    """The outputs compared with the targets 0 and 1: the logits, or their softmax. The reports do not say which."""


class BceWithLogits(_AnyLoss):
    """Binary cross entropy of each logit with the one-hot target, averaged over the classes."""

    name: Literal["bce_with_logits"] = "bce_with_logits"


class MultilabelSoftMargin(_AnyLoss):
    """The same loss as bce_with_logits, under the name that a report uses."""

    name: Literal["multilabel_soft_margin"] = "multilabel_soft_margin"


class Mse(_Regression):
    """Squared distance to the one-hot target, averaged over the classes."""

    name: Literal["mse"] = "mse"


class Huber(_Regression):
    """Quadratic near the one-hot target, linear with slope delta far from it, averaged over the classes."""

    name: Literal["huber"] = "huber"
    delta: PositiveFloat = 1.0
    """Distance at which the loss becomes linear."""


class SmoothL1(_Regression):
    """The Huber loss divided by beta, averaged over the classes."""

    name: Literal["smooth_l1"] = "smooth_l1"
    beta: PositiveFloat = 1.0
    """Distance at which the loss becomes linear, with slope 1."""


class OwnLoss(_Summed, OwnPart):
    """A loss of yours: logits [N, K] and targets to losses [N]."""


_Closed = Annotated[
    CrossEntropy | Focal | BceWithLogits | MultilabelSoftMargin | Mse | Huber | SmoothL1, Field(discriminator="name")
]
Loss = Annotated[Annotated[_Closed, Tag("closed")] | Annotated[OwnLoss, Tag("own")], own_or("loss", _Closed)]
