"""Optimizers by config, and which parameters they decay."""

from typing import Any, assert_never

import torch
from torch import nn

from trainer.config.optimizer import AdamW, Optimizer, Sgd


def parameter_groups(model: nn.Module, config: Optimizer) -> list[dict[str, Any]]:
    """Two groups: weights (two or more dimensions), and the norms' scales and shifts with the biases.

    Frozen parameters are in neither; an empty group is left out.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    own = config.decay_norm_and_bias
    decay = config.weight_decay if own is True else float(own)
    groups = [
        ("weights", [p for _, p in trained if p.ndim > 1], 1.0, config.weight_decay),
        ("norm_and_bias", [p for _, p in trained if p.ndim <= 1], config.norm_and_bias_lr_scale, decay),
    ]
    return [
        {"name": name, "params": params, "lr": config.lr * scale, "weight_decay": decay}
        for name, params, scale, decay in groups
        if params
    ]


def build_optimizer(model: nn.Module, config: Optimizer, *, fused: bool) -> torch.optim.Optimizer:
    """`fused` takes torch's one-kernel update (CUDA), and the update of all tensors at once elsewhere."""
    groups = parameter_groups(model, config)
    kernels: dict[str, Any] = {"fused": True} if fused else {"foreach": True}
    match config:
        case Sgd():
            return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, **kernels)
        case AdamW():
            betas = (config.beta1, config.beta2)
            return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, **kernels)
        case _:
            assert_never(config)
