"""Packages and environments that sinks need, checked before anything starts, without torch."""

from importlib.util import find_spec

from trainer.config.sink import Sink, forbidden_names
from trainer.errors import ConfigError


def refuse_missing(config: Sink) -> None:
    """Raise ConfigError for a package that is not installed."""
    missing = [
        f"sink.{name}.mode: {name} is not installed: pip install 'cifar-sweeps[{name}]'"
        for name in ("trackio", "tensorboard")  # each is a section, an extra and a package
        if getattr(config, name).mode != "disabled" and find_spec(name) is None
    ]
    if missing:
        raise ConfigError(*missing)


def refuse_unusable(config: Sink) -> None:
    """Raise ConfigError for a package that is not installed, or names or an environment that W&B does not take."""
    refuse_missing(config)
    if forbidden := forbidden_names(config.wandb):
        raise ConfigError(*forbidden)
    if config.wandb.mode != "disabled":
        from trainer.sinks.wandb_client import refuse_bad_environment

        refuse_bad_environment()
