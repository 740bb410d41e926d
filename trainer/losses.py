"""Losses by config. Each is a module from logits [N, K] and labels [N] to a loss for each image [N].

Whoever calls one sums or averages: the training loop as `loss.reduction` says, evaluation always by the mean.
"""

from typing import assert_never

from torch import nn

from trainer.config.loss import CrossEntropy, Loss


def build_loss(loss: Loss) -> nn.Module:
    match loss:
        case CrossEntropy():
            return nn.CrossEntropyLoss(label_smoothing=loss.label_smoothing, reduction="none")
        case _:
            assert_never(loss)
