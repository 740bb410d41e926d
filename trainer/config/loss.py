"""`loss`: what is minimised. N images, K classes; a target is one-hot, or soft where `augment.mix` makes it so."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from trainer.config.base import Section


class _AnyLoss(Section):
    reduction: Literal["mean", "sum"] = "mean"
    """Over a batch's images, for the gradient. Logged losses are means either way."""
    class_weights: tuple[NonNegativeFloat, ...] | None = None
    """K factors of the classes' terms in each image's loss; null: all 1. A mean still divides by the images."""
    l1: NonNegativeFloat = 0.0
    """Coefficient of the sum of absolute weights (tensors of two or more dimensions), added to what is minimised for
    each batch and to no logged loss."""
    l2: NonNegativeFloat = 0.0
    """Coefficient of the sum of squared weights, added likewise; its gradient is that of `optimizer.weight_decay`
    = 2 l2 under plain SGD."""


class CrossEntropy(_AnyLoss):
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the uniform distribution in the target (Szegedy et al. 2016, section 7)."""


class Focal(_AnyLoss):
    name: Literal["focal"] = "focal"
    gamma: NonNegativeFloat = 2.0
    """Cross entropy times (1 - p)^gamma of the class's probability p (Lin et al. 2017, eq. 4); 0: cross entropy."""
    alpha: PositiveFloat = 1.0
    """A factor of the whole loss (eq. 5); one a class is `class_weights`."""


class _Regression(_AnyLoss):
    scores: Literal["logits", "softmax"] = "logits"
    """What is drawn towards the target of 0 and 1: the logits themselves, or their softmax. The reports do not say."""


class BceWithLogits(_AnyLoss):
    """K yes-or-no questions: the logits against the one-hot target; the mean over the classes is an image's loss."""

    name: Literal["bce_with_logits"] = "bce_with_logits"


class MultilabelSoftMargin(_AnyLoss):
    """The same number as bce_with_logits, by the name that a report prints."""

    name: Literal["multilabel_soft_margin"] = "multilabel_soft_margin"


class Mse(_Regression):
    """Squared distance to the one-hot target, the mean over the classes."""

    name: Literal["mse"] = "mse"


class Huber(_Regression):
    """A square near the one-hot target, a line of slope delta far from it; the mean over the classes."""

    name: Literal["huber"] = "huber"
    delta: PositiveFloat = 1.0
    """Distance at which the square becomes a line."""


class SmoothL1(_Regression):
    """Huber's divided by beta; the mean over the classes."""

    name: Literal["smooth_l1"] = "smooth_l1"
    beta: PositiveFloat = 1.0
    """Distance at which the square becomes a line of slope 1."""


Loss = Annotated[
    CrossEntropy | Focal | BceWithLogits | MultilabelSoftMargin | Mse | Huber | SmoothL1, Field(discriminator="name")
]
