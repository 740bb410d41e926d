"""What of a config only models and timm can tell: whether they know the names, and what the network's defaults are."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from trainer.config import RunConfig
from trainer.config.base import is_settings
from trainer.config.optimizer import Timm
from trainer.errors import ConfigError
from trainer.networks import complete_arguments
from trainer.optimizers import build_optimizer


def complete_parts(settings: Mapping[str, Any], config: RunConfig | None) -> tuple[list[str], dict[str, Any]]:
    """(a line for each problem of the network, also where other keys are wrong, and of timm's optimizer; all arguments
    of the network). `config` is what the settings make, where they are valid."""
    problems: list[str] = []
    arguments: dict[str, Any] = {}
    model = settings.get("model")
    if is_settings(model) and isinstance(name := model.get("name"), str):
        problems, arguments = complete_arguments(name, {key: value for key, value in model.items() if key != "name"})
    if config and isinstance(config.optimizer, Timm):
        try:
            build_optimizer(nn.Linear(2, 2), config.optimizer, fused=False)
        except ConfigError as error:
            problems = [*problems, *error.problems]
    return problems, arguments
