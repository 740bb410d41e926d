"""The sweep files of the repository, and the resolved configs of their points."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from trainer.config import load_config
from trainer.config.overrides import flatten
from trainer.sweep.file import Sweep, read_sweep
from trainer.sweep.points import points_of, sample
from trainer.training.network_arguments import complete_parts

FOLDER = Path(__file__).parents[1] / "sweeps"
FILES = sorted(FOLDER.glob("*.yaml"))


@cache
def resolved(words: tuple[str, ...], recipe: str | None = None) -> Mapping[str, Any]:
    """Every key of the config that these words make."""
    return flatten(load_config(words, recipe=recipe, complete=complete_parts).config.model_dump())


@cache
def sweep_of(path: Path) -> Sweep:
    return read_sweep(path)


def points(path: Path) -> list[Mapping[str, Any]]:
    """The resolved configs of a grid's points, in order, of its first seed only; of a search, one of its points."""
    sweep = sweep_of(path)
    if sweep.file.method == "grid":
        first = sweep.space["seed"].choices[0]
        return [resolved(tuple(point.overrides)) for point in points_of(sweep) if point.values["seed"] == first]
    return [resolved(tuple(point.overrides)) for point in sample(sweep, 1)]
