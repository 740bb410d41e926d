"""The sinks of a config. The packages of those that are off are never imported."""

from importlib.util import find_spec
from pathlib import Path

from trainer.config.sink import Sink as Config
from trainer.errors import ConfigError
from trainer.protocols import Sink
from trainer.sinks.console import ConsoleSink
from trainer.sinks.folder import FolderSink


def refuse_missing(config: Config) -> None:
    """Raise ConfigError for a package that is not installed."""
    missing = [
        f"sink.{name}.mode: {name} is not installed: pip install 'cifar-sweeps[{name}]'"
        for name in ("trackio", "tensorboard")  # each is a section, an extra and a package
        if getattr(config, name).mode != "disabled" and find_spec(name) is None
    ]
    if missing:
        raise ConfigError(*missing)


def refuse_unusable(config: Config) -> None:
    """Raise ConfigError for a package that is not installed, or an environment that W&B cannot read."""
    refuse_missing(config)
    if config.wandb.mode != "disabled":
        from trainer.sinks.wandb_client import refuse_bad_environment

        refuse_bad_environment()


def build_sinks(config: Config, folder: Path) -> list[Sink]:
    """Return the run folder's sink, which comes first, the console's, and those that are on."""
    sinks: list[Sink] = [FolderSink(folder), ConsoleSink(config.console)]
    if config.wandb.mode != "disabled":
        from trainer.sinks.wandb import WandbSink

        sinks.append(WandbSink(config.wandb))
    if config.trackio.mode != "disabled":
        from trainer.sinks.trackio import TrackioSink

        sinks.append(TrackioSink(config.trackio))
    if config.tensorboard.mode != "disabled":
        from trainer.sinks.tensorboard import TensorboardSink

        sinks.append(TensorboardSink(config.tensorboard))
    return sinks
