"""`sink`: destinations of a run's numbers besides its folder."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat

from trainer.config.base import Section


def _whether_or_how_often(value: bool | str) -> bool | str:
    if isinstance(value, str) and not re.fullmatch(r"every:[1-9]\d*", value):
        raise ValueError("expected true, false or every:SECONDS, such as every:600")
    return value


_NOT_IN_A_PROJECT = "/\\#?%:"


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
    checkpoint: Annotated[bool | str, AfterValidator(_whether_or_how_often)] = False
    """true uploads the best checkpoint as an artifact when the run ends. every:600 also uploads the last one, at most
    every 600 seconds, for `trainer train --resume wandb:ENTITY/PROJECT/RUN` on another machine."""
    init_timeout: PositiveFloat = 30
    """Seconds to wait for the server at the start. After that the run continues offline."""
    finish_timeout: PositiveFloat = 60
    """Seconds to wait for the server at the end. Unsent data stays on disk for `wandb sync`."""

    @property
    def checkpoint_seconds(self) -> int | None:
        """Return the least time between two uploads of the last checkpoint, or None if it is not uploaded."""
        return int(self.checkpoint.removeprefix("every:")) if isinstance(self.checkpoint, str) else None


class TrackioSink(Section):
    mode: Literal["disabled", "local"] = "disabled"
    """local writes into trackio's database on this machine, for `trackio show`. It needs the extra `trackio`."""
    project: str = "cifar-sweeps"
    """trackio project, a file in its folder: `$TRACKIO_DIR`, or ~/.cache/huggingface/trackio."""
    group: str | None = None
    """trackio group of this run."""


class TensorboardSink(Section):
    mode: Literal["disabled", "local"] = "disabled"
    """local writes TensorBoard's files into `RUN/tensorboard`. It needs the extra `tensorboard`."""


class ConsoleSink(Section):
    mode: Literal["auto", "bar", "lines", "off"] = "auto"
    """Output on stderr: a live progress bar, or a line per epoch. auto is bar on a terminal, otherwise lines."""


class Sink(Section):
    wandb: WandbSink = Field(default_factory=WandbSink)
    trackio: TrackioSink = Field(default_factory=TrackioSink)
    tensorboard: TensorboardSink = Field(default_factory=TensorboardSink)
    console: ConsoleSink = Field(default_factory=ConsoleSink)


def forbidden_project(name: str) -> str | None:
    """Return why W&B takes no project of this name, or None."""
    if found := next((mark for mark in _NOT_IN_A_PROJECT if mark in name), None):
        return f"{name!r} has a {found!r}; W&B takes no project with one of {' '.join(_NOT_IN_A_PROJECT)}"
    return f"has {len(name)} characters; W&B takes 128" if len(name) > 128 else None


def forbidden_names(wandb: WandbSink) -> list[str]:
    """Return a line for each name that W&B's client refuses when a run begins, none if W&B is off.

    What is stored is read all the same.
    """
    if wandb.mode == "disabled":
        return []
    problem = forbidden_project(wandb.project)
    lines = [f"sink.wandb.project: {problem}"] if problem else []
    sizes = [len(tag) for tag in wandb.tags]
    return lines + [
        f"sink.wandb.tags.{place}: has {size} characters; a tag of W&B's has 1 to 64"
        for place, size in enumerate(sizes)
        if not 1 <= size <= 64
    ]
