"""`sink`: destinations of a run's numbers besides its folder."""

from typing import Literal

from pydantic import Field, PositiveFloat

from trainer.config.base import Section


class WandbSink(Section):
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto is online if an API key is configured, otherwise offline. disabled does not import wandb."""
    project: str = "cifar-sweeps"
    """W&B project. The environment variable WANDB_PROJECT replaces this default."""
    entity: str | None = None
    """W&B user or team. null is the account's default."""
    group: str | None = None
    """W&B group of this run."""
    tags: tuple[str, ...] = ()
    """W&B tags of this run."""
    panels: str | None = None
    """Entity to which `trainer panels push` has pushed the panels. null draws the tables with W&B's own charts."""
    checkpoint: bool = False
    """Upload the best checkpoint as an artifact when the run ends."""
    init_timeout: PositiveFloat = 30
    """Seconds to wait for the server at the start. After that the run continues offline."""
    finish_timeout: PositiveFloat = 60
    """Seconds to wait for the server at the end. Unsent data stays on disk for `wandb sync`."""


class ConsoleSink(Section):
    mode: Literal["auto", "bar", "lines", "off"] = "auto"
    """Output on stderr: a live progress bar, or a line per epoch. auto is bar on a terminal, otherwise lines."""


class Sink(Section):
    wandb: WandbSink = Field(default_factory=WandbSink)
    console: ConsoleSink = Field(default_factory=ConsoleSink)
