"""Losses by config. Each maps logits [N, K] and targets, [N] classes or [N, K] probabilities, to losses [N].

The caller sums or averages: the training loop by `loss.reduction`, evaluation always by the mean.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.config.loss import (
    BceWithLogits,
    CrossEntropy,
    Focal,
    Huber,
    Loss,
    Mse,
    MultilabelSoftMargin,
    OwnLoss,
    SmoothL1,
)
from trainer.errors import ConfigError
from trainer.own import parts as own
from trainer.own.source import Source
from trainer.seeds import draws_forgotten

Terms = Callable[[Tensor, Tensor], Tensor]  # logits [N, K], target probabilities [N, K] -> a term for each class [N, K]


def build_loss(loss: Loss, num_classes: int) -> nn.Module:
    """Build the loss. Raises ConfigError if `loss.class_weights` does not have one weight per class."""
    if isinstance(loss, OwnLoss):
        return _own_loss(loss, num_classes)
    weight = None if loss.class_weights is None else torch.tensor(loss.class_weights)
    if weight is not None and len(weight) != num_classes:
        raise ConfigError(f"loss.class_weights: {len(weight)} weights, but the data has {num_classes} classes")
    mean_of = partial(LossOfTerms, weight=weight, mean=True)
    match loss:
        case CrossEntropy():
            return nn.CrossEntropyLoss(weight, label_smoothing=loss.label_smoothing, reduction="none")
        case Focal(gamma=gamma, alpha=alpha):
            return LossOfTerms(partial(_focal, gamma=gamma, alpha=alpha), weight=weight, mean=False)
        case BceWithLogits() | MultilabelSoftMargin():  # torch's two differ only in the meaning of their weights
            return mean_of(partial(F.binary_cross_entropy_with_logits, reduction="none"))
        case Mse():
            return mean_of(_scored(partial(F.mse_loss, reduction="none"), loss.scores))
        case Huber(delta=delta):
            return mean_of(_scored(partial(F.huber_loss, reduction="none", delta=delta), loss.scores))
        case SmoothL1(beta=beta):
            return mean_of(_scored(partial(F.smooth_l1_loss, reduction="none", beta=beta), loss.scores))
        case _:
            assert_never(loss)


def build_penalty(loss: Loss, model: nn.Module) -> Callable[[], Tensor] | None:
    """Return l1 times the sum of absolute weights plus l2 times that of squares, as a function. None if both are 0."""
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    if not weights or not (loss.l1 or loss.l2):
        return None
    return lambda: torch.stack([loss.l1 * w.abs().sum() + loss.l2 * w.square().sum() for w in weights]).sum()


class CalledLoss(nn.Module):
    """A loss that is a function."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self._function(logits, targets)


def _own_loss(loss: OwnLoss, num_classes: int) -> nn.Module:
    source = own.source_of("loss", loss)
    called = own.build("loss", loss, num_classes=num_classes, reduction="none")
    module = called if isinstance(called, nn.Module) else CalledLoss(called)
    try_own_loss(module, source, torch.arange(4) % num_classes, num_classes)
    return module


def try_own_loss(loss: nn.Module, source: Source, targets: Tensor, num_classes: int) -> None:
    """Raise ConfigError unless random logits and these targets, [4] or [4, K], become 4 finite losses."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(4, num_classes, generator=draw).requires_grad_()
    kind = "classes [4]" if targets.ndim == 1 else f"probabilities [4, {num_classes}], as augment.mix makes them"
    with (
        own.in_a_line(source, f"does not take logits [4, {num_classes}] and {kind}"),
        draws_forgotten(),
    ):
        losses = loss(logits, targets)
    if not isinstance(losses, Tensor) or losses.shape != (4,):
        raise source.mistake(f"makes {own.described(losses)} of 4 images, not losses [4], one an image")
    if not losses.isfinite().all():
        raise source.mistake("makes NaN or an infinite loss of random logits")
    if not losses.requires_grad:
        raise source.mistake("makes losses without a gradient")


def refuse_loss_over_images(loss: nn.Module, source: Source, num_classes: int) -> None:
    """Raise ConfigError if an own loss of an image depends on the other images, of which a rank has not all."""
    draw = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(4, num_classes, generator=draw), torch.arange(4) % num_classes
    with own.in_a_line(source, "does not take two images"), draws_forgotten(), torch.no_grad():
        halves = [loss(*half) for half in zip(logits.split(2), targets.split(2), strict=True)]
        alike = torch.allclose(torch.cat(halves), loss(logits, targets))
    if not alike:
        raise source.mistake("its loss of an image depends on the other images, so devices cannot share a batch")


class LossOfTerms(nn.Module):
    """A loss with one weighted term per class, summed or averaged over the classes."""

    weight: Tensor | None

    def __init__(self, terms: Terms, *, weight: Tensor | None, mean: bool) -> None:
        super().__init__()
        self._terms, self._mean = terms, mean
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        terms = self._terms(logits, targets)
        if self.weight is not None:
            terms = terms * self.weight
        return terms.mean(1) if self._mean else terms.sum(1)


def _focal(logits: Tensor, targets: Tensor, *, gamma: float, alpha: float) -> Tensor:
    log_p = logits.log_softmax(1)
    other = (-log_p.expm1()).clamp(min=torch.finfo(log_p.dtype).tiny)  # 1 - p. A power of 0 has no finite gradient
    return -alpha * targets * other**gamma * log_p


def _scored(terms: Terms, scores: str) -> Terms:
    return terms if scores == "logits" else lambda logits, targets: terms(logits.softmax(1), targets)
