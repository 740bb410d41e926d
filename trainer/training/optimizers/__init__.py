"""Optimizers by config, which parameters they decay, and what torch does not have of them."""

from trainer.training.optimizers.build import build_optimizer, parameter_groups

__all__ = ["build_optimizer", "parameter_groups"]
