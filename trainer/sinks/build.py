"""The sinks of a config. The packages of those that are off are never imported."""

from pathlib import Path

from trainer.config.sink import Sink as Config
from trainer.protocols import Sink
from trainer.sinks.console import ConsoleSink
from trainer.sinks.folder import FolderSink


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
