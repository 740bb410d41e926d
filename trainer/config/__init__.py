"""Validated, frozen run configs, made with Pydantic only: importing them loads no torch, wandb or timm."""

from trainer.config.load import LoadedConfig, load_config
from trainer.config.run import RunConfig

__all__ = ["LoadedConfig", "RunConfig", "load_config"]
