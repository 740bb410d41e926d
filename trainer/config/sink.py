"""`sink`: where a run's numbers go besides its folder."""

from typing import Literal

from pydantic import Field, PositiveFloat

from trainer.config.base import Section


class WandbSink(Section):
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online where an API key is configured, else offline. disabled: wandb is not imported."""
    project: str = "cifar-sweeps"
    """W&B project; WANDB_PROJECT stands above this default."""
    entity: str | None = None
    """W&B user or team; null: the account's own."""
    group: str | None = None
    """Name under which W&B shows runs together."""
    tags: tuple[str, ...] = ()
    """Words that W&B can filter runs by."""
    panels: str | None = None
    """Entity to which `trainer panels push` has pushed the panels; null: W&B's own charts draw the run's tables."""
    checkpoint: bool = False
    """Upload the best checkpoint as an artifact when the run ends."""
    init_timeout: PositiveFloat = 30
    """Seconds to wait for the server at the start before going on offline."""
    finish_timeout: PositiveFloat = 60
    """Seconds to wait for the server at the end; what is left stays on disk for `wandb sync`."""


class ConsoleSink(Section):
    mode: Literal["auto", "bar", "lines", "off"] = "auto"
    """bar: a live progress bar; lines: a line an epoch; auto: bar on a terminal, lines elsewhere. All on stderr."""


class Sink(Section):
    wandb: WandbSink = Field(default_factory=WandbSink)
    console: ConsoleSink = Field(default_factory=ConsoleSink)
