"""Every flag that more than one command takes, and what is done with them. Imports no torch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from trainer.errors import CheckpointError

if TYPE_CHECKING:
    from trainer.config import LoadedConfig

TAKES_ANY_KEY = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context settings of a command that reads `--KEY=VALUE`, as a W&B agent may write it."""


def complete_model(incomplete: str) -> list[str]:
    from trainer.training.network_arguments import table

    return [name for name in table()["networks"] if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    from trainer.config.recipes import recipe_names

    return [name for name in [*recipe_names(), "none"] if name.startswith(incomplete)]


def complete_panel(incomplete: str) -> list[str]:
    from trainer.panels.registry import PANELS

    return [each.name for each in PANELS if each.name.startswith(incomplete)]


def _short(key: str, metavar: str, **more: Any) -> Any:
    """A flag whose value becomes the override `KEY=VALUE`."""
    return Option(help=f"Short for {key}={metavar}.", metavar=metavar, parser=lambda text: f"{key}={text}", **more)


# What a run is.

Overrides = Annotated[
    list[str] | None,
    Argument(metavar="KEY=VALUE", help="A config key, such as optimizer.lr=0.1. `trainer config` lists all."),
]
ModelFlag = Annotated[str | None, _short("model.name", "NAME", autocompletion=complete_model)]
EpochsFlag = Annotated[str | None, _short("train.epochs", "N")]
LrFlag = Annotated[str | None, _short("optimizer.lr", "RATE")]
AUTO = "train.batch_size=auto"  # what `--batch-size auto` becomes, which `trainer train` alone understands
BatchSizeFlag = Annotated[str | None, _short("train.batch_size", "N")]
SeedFlag = Annotated[str | None, _short("seed", "N")]
DataFlag = Annotated[str | None, _short("data.name", "NAME")]
DeviceFlag = Annotated[str | None, _short("train.device", "NAME")]
OfflineFlag = Annotated[bool, Option("--offline", help="Short for sink.wandb.mode=offline.")]
RecipeFlag = Annotated[
    str | None, Option(help="Start from this recipe; none: from the defaults.", autocompletion=complete_recipe)
]
FileFlag = Annotated[Path | None, Option("--config", help="YAML file laid over the recipe.", metavar="FILE")]

# Which runs, and how they are loaded.

RunsFlag = Annotated[Path, Option(help="Directory of the run folders.", metavar="DIR")]
DataRootFlag = Annotated[Path | None, Option(help="Directory of the data, if it has moved.", metavar="DIR")]
DeviceNowFlag = Annotated[
    str | None, Option("--device", help="Device to compute on. Default: as in training.", metavar="NAME")
]
HaveFlag = Annotated[
    list[Path] | None,
    Option(
        "--have",
        help="Archive, or folder of archives, whose runs count as done: those of the same config and seed. Give it"
        " again for each further one.",
        metavar="PATH",
    ),
]

# What is printed.

JsonFlag = Annotated[bool, Option("--json", help="Print one JSON object on stdout and nothing else.")]


def overrides_of(typed: list[str] | None, *flags: str | None, offline: bool = False) -> list[str]:
    """Return what was typed, flags included, as `KEY=VALUE` overrides."""
    return [flag for flag in flags if flag] + (["sink.wandb.mode=offline"] if offline else []) + (typed or [])


def load(overrides: list[str], recipe: str | None = None, file: Path | None = None) -> "LoadedConfig":
    """Resolve the config of a new run. Raises ConfigError with every mistake."""
    from trainer.config import load_config
    from trainer.training.network_arguments import complete_parts

    return load_config(overrides, recipe=recipe, file=file, complete=complete_parts)


def run_folder(run: Path, runs: Path, *, needs: str = "checkpoint.pt") -> Path:
    """Return the folder or file that `run` names: a path, or the name of a folder in `runs`.

    Whatever else is called so, such as a folder of the same name here, gives way to a run. Raises CheckpointError if
    there is none, or if the file `needs` is not in it: before torch is imported to read it.
    """
    there = [path for path in (run, runs / run) if path.exists()]
    if not there:
        raise CheckpointError(f"{run}: there is no such run or checkpoint")
    runs_there = [path for path in there if (path / needs).exists() or (path.suffix == ".pt" and path.is_file())]
    path = (runs_there or there)[0]
    if path.is_dir() and not (path / needs).exists():
        raise CheckpointError(f"{path}: no {needs} in it")
    return path


def loading_changes(data_root: Path | None, device: str | None, **others: object) -> dict[str, object]:
    """Return the config keys to use instead of the run's own when its network is loaded."""
    changes = {"data.root": str(data_root) if data_root else None, "train.device": device, **others}
    return {key: value for key, value in changes.items() if value is not None}


def print_json(content: object) -> None:
    typer.echo(json.dumps(content, allow_nan=False, default=str))


@contextmanager
def resumable() -> Iterator[None]:
    """Tell the user on Ctrl-C that the same command continues the measurement."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted: finished measurements are kept; run the same command to continue", err=True)
        raise
