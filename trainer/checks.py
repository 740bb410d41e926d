"""What of a config only models and timm can tell to be wrong."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from trainer.config import RunConfig
from trainer.config.base import is_settings
from trainer.config.optimizer import Timm
from trainer.errors import ConfigError
from trainer.networks import check_network
from trainer.optimizers import build_optimizer


def check_parts(settings: Mapping[str, Any], config: RunConfig | None) -> list[str]:
    """A line for each problem of the network's name and arguments, also where other keys are wrong, and of timm's
    optimizer."""
    problems: list[str] = []
    model = settings.get("model")
    if is_settings(model) and isinstance(name := model.get("name"), str):
        problems += check_network(name, {key: value for key, value in model.items() if key != "name"})
    if config and isinstance(config.optimizer, Timm):
        try:
            build_optimizer(nn.Linear(2, 2), config.optimizer, fused=False)
        except ConfigError as error:
            problems += error.problems
    return problems
