"""A run's folder: its name, its lock, and what is read back from it. What is written there is its sink's business."""

import contextlib
import datetime
import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.config.load import validate
from trainer.config.overrides import flatten, lay_over
from trainer.config.recipes import read_settings_file
from trainer.errors import CheckpointError, ConfigError
from trainer.files import disk_errors
from trainer.runs.groups import SEED, decisive


def new_folder(runs: Path, name: str | None, config: RunConfig) -> Path:
    """Make `runs/NAME`, by default of the moment, the network, the seed and `config_hash`. Raises UserError."""
    if name is not None and not re.fullmatch(r"[\w][\w.@+-]*", name):
        raise ConfigError(f"--name: {name!r}: letters, digits and . _ - @ + only")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    network = config.model.name.replace("/", "-")
    folder = runs / (name or f"{stamp}-{network}-s{config.seed}-{config_hash(config)}")
    with disk_errors(folder, "cannot be made"):
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise ConfigError(f"--name: {folder} exists; go on with it by `trainer train --resume {folder}`") from error
        (folder / "pictures").mkdir()
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time trains into a folder; the lock goes with its process, however that ends."""
    with disk_errors(folder):
        file = (folder / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"{folder}: another process is training this run") from error
        yield


def read_config(folder: Path) -> RunConfig:
    """The config of a run. Raises CheckpointError where the folder holds none."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise CheckpointError(f"{folder}: not a run folder (no config.yaml in it)")
    return validate(read_settings_file(path))


def read_summary(folder: Path) -> dict[str, Any]:
    """The headline numbers of a run that has ended; empty where it has not."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {}


def config_hash(config: RunConfig) -> str:
    """Eight hex digits of everything that changes a run's numbers."""
    return hashlib.sha256(json.dumps(_decisive(config), sort_keys=True).encode()).hexdigest()[:8]


def same_run(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """A run's config with nested settings laid over it. Raises ConfigError where that changes the run's numbers."""
    asked = validate(lay_over(config.model_dump(mode="json"), given))
    run, now = _decisive(config), _decisive(asked)
    differing = [key for key in run | now if run.get(key, ...) != now.get(key, ...)]
    if differing:
        raise ConfigError(*(
            f"{key}: the run has {run.get(key)!r}, not {now.get(key)!r}; a changed run is a new run, without --resume"
            for key in differing
        ))  # fmt: skip
    return asked


def _decisive(config: RunConfig) -> dict[str, Any]:
    return {SEED: config.seed, **decisive(flatten(config.model_dump(mode="json")))}
