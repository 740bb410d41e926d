"""Folder of a run: its name, its lock, its config and summary. `sinks/` writes the files in it."""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import RunConfig
from trainer.config.explain import did_you_mean
from trainer.config.load import as_stored, validate
from trainer.config.overrides import as_typed, flatten, lay_over
from trainer.config.recipes import read_stored_file
from trainer.errors import CheckpointError, ConfigError, DiskError
from trainer.files import disk_errors, parse_json, write_json
from trainer.runs.groups import ROOT, SEED, decisive

if TYPE_CHECKING:
    from trainer.protocols import Status  # loads torch

_LONGEST_NAME = 255  # bytes, of every common file system


def new_folder(runs: Path, name: str | None, config: RunConfig) -> Path:
    """Make `runs/NAME` and return it. The default name has the time, network, seed and hash. Raises UserError.

    What a kill has left there before its run began is removed.
    """
    refuse_bad_name(runs, name)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    network = re.sub(r"[^\w.@+-]+", "-", config.model.name.rpartition(":")[2])
    folder = runs / (name or f"{stamp}-{network}-s{config.seed}-{config_hash(config)}")
    with disk_errors(folder, "cannot be made"):
        if folder.is_dir() and not has_begun(folder):
            with locked(folder):
                if not has_begun(folder):
                    shutil.rmtree(folder)
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            if not folder.is_dir():  # a file or a link to nothing is in the way, and not a run
                raise
            raise _exists(folder) from error
    return folder


def named(folder: Path) -> Path:
    """Return a folder by a path that ends in its own name, which `.` and a link do not."""
    whole = folder.resolve()
    return folder if folder.name == whole.name else whole


def refuse_bad_name(runs: Path, name: str | None) -> None:
    """Raise ConfigError for a name that cannot be a new folder's, DiskError for a directory that cannot be made."""
    if name is not None:
        refuse_malformed_name(name)
    if name is not None and (runs / name).is_dir() and has_begun(runs / name):
        raise _exists(runs / name)
    there = next(place for place in (runs, *runs.absolute().parents) if place.exists())
    if not there.is_dir():
        raise DiskError(f"{runs}: cannot be made: {there} is not a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DiskError(f"{runs}: cannot be written: Permission denied")


def refuse_malformed_name(name: str) -> None:
    """Raise ConfigError for a name that can be no folder's in `runs`."""
    if not re.fullmatch(r"[\w][\w.@+-]*", name):
        raise ConfigError(f"--name: {name!r}: use only letters, digits and . _ - @ +")
    if (size := len(os.fsencode(name))) > _LONGEST_NAME:
        raise ConfigError(f"--name: {name!r}: has {size} bytes; a folder's name has at most {_LONGEST_NAME}")


def has_begun(folder: Path) -> bool:
    """Return whether a folder has more in it than what a run writes before its config. A kill leaves that.

    A folder of anything else has begun, whatever it is. Raises DiskError.
    """
    with disk_errors(folder, "cannot be read"):
        return any(
            path.name not in (".lock", "own") and not path.match(".config.yaml.*.part") for path in folder.iterdir()
        )


def _exists(folder: Path) -> ConfigError:
    if not (folder / "config.yaml").is_file():
        return ConfigError(f"--name: {folder} exists and is no run; choose another name")
    resume = as_typed("trainer", "train", "--resume", folder)
    return ConfigError(f"--name: {folder} exists; continue it with `{resume}`")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, so that one process at a time trains into it. The lock ends with its process."""
    with disk_errors(folder):
        file = (folder / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _is_trained(folder) from error
        with disk_errors(folder):
            if not os.path.samestat(os.fstat(file.fileno()), (folder / ".lock").stat()):
                raise _is_trained(folder)  # that process has removed what was here, and begun
        yield


def _is_trained(folder: Path) -> CheckpointError:
    return CheckpointError(f"{folder}: another process is training this run")


def config_file(folder: Path) -> Path:
    """Return the file with a run's config. Raises CheckpointError if there is none, DiskError if that is not known."""
    path = folder / "config.yaml"
    with disk_errors(folder, "cannot be read"):
        there = path.is_file()
    if not there:
        raise CheckpointError(f"{folder}: not a run folder (no config.yaml in it)")
    return path


def read_config(folder: Path) -> RunConfig:
    """Return the config of a run. Raises CheckpointError if the folder has none, DiskError if it cannot be read."""
    path = config_file(folder)
    settings = read_stored_file(path)
    if not settings:
        raise CheckpointError(f"{path}: empty, so the run cannot be continued")
    return validate(as_stored(settings))


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the headline numbers of a run, empty if it has not ended. Raises UserError for a foreign file."""
    return object_of(folder / "summary.json")


def note_status(folder: Path, status: "Status") -> None:
    """Write how a run ended into its files, where its sweep knows more than the run did. Raises UserError."""
    for name in ("summary.json", "run.json"):
        if content := object_of(folder / name):
            write_json(folder / name, {**content, "status": status}, indent=2)


def object_of(path: Path) -> dict[str, Any]:
    """Return the object of a run's JSON file, empty without the file, or if it is cut off. Raises UserError."""
    with disk_errors(path, "cannot be read"):
        try:
            content = parse_json(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return content


def config_hash(config: RunConfig) -> str:
    """Return eight hex digits, a hash of everything that changes a run's numbers."""
    return hash_of(_decisive(config))


def hash_of(decisive: Mapping[str, Any]) -> str:
    """Return `config_hash` of the flat keys that change numbers, the seed among them."""
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]


def same_run(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """Return a run's config with overrides. Raises ConfigError if they change the run's numbers.

    Images may have moved. A resume compares them themselves.
    """
    asked = validate(lay_over(config.model_dump(mode="json"), given))
    run, now = _decisive(config), _decisive(asked)
    differing = [key for key in run | now if key != ROOT and run.get(key, ...) != now.get(key, ...)]
    other_choices = tuple(key.removesuffix("name") for key in differing if key.endswith(".name"))
    told = [key for key in differing if key.endswith(".name") or not key.startswith(other_choices)]
    if told:
        raise ConfigError(*(
            f"{key}: the run has {run[key]!r}, not {now.get(key)!r}; to change it, start a new run without --resume"
            if key in run else f"{key}: the run has no such key{did_you_mean(key, run)}"
            for key in told
        ))  # fmt: skip
    return asked


def _decisive(config: RunConfig) -> dict[str, Any]:
    return {SEED: config.seed, **decisive(flatten(config.model_dump(mode="json")))}
