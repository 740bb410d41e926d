"""Optimizers by config, the parameters that they decay, and optimizers that torch does not have."""

from trainer.training.optimizers.build import build_optimizer, fused_on
from trainer.training.optimizers.groups import parameter_groups

__all__ = ["build_optimizer", "fused_on", "parameter_groups"]
