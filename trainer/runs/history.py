"""History of a run, read from its folder: config, rows, summary. `training/trained.py` reads the weights."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from trainer.config.load import as_stored
from trainer.config.overrides import flatten
from trainer.config.recipes import read_stored_file
from trainer.errors import CheckpointError
from trainer.files import disk_errors
from trainer.runs.bits import unpack_bits
from trainer.runs.folder import config_file, named, object_of, read_summary


@dataclass(frozen=True)
class History:
    """Config and results of a run. Accuracies are fractions, times are seconds."""

    folder: Path
    config: dict[str, Any]  # resolved, flat, dotted keys
    rows: list[dict[str, Any]]  # of metrics.jsonl, in order; each has `epoch` and `step`
    summary: dict[str, Any]  # empty while the run has not ended
    confusion: list[list[int]]  # [K, K] test images by true, then by predicted class; may be empty
    classes: list[str] = field(default_factory=list[str])  # names of the K classes
    correct: NDArray[np.bool_] | None = field(default=None, compare=False)  # [N] mask of the test images, if kept

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def seed(self) -> int:
        return self.config.get("seed") or 0

    @property
    def status(self) -> str:
        """Return how the run ended, or `running` without a summary."""
        return str(self.summary.get("status", "running"))

    def having(self, *keys: str) -> list[dict[str, Any]]:
        """Return the rows in which all of these keys are finite numbers."""
        return [row for row in self.rows if all(is_finite(row.get(key)) for key in keys)]


def is_finite(value: Any) -> TypeGuard[float]:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def read_history(folder: Path) -> History:
    """Return the history of a run, without a truncated row and the rows after it.

    Raises CheckpointError if the folder is not a run folder, or has files with content that no run writes, DiskError if
    a file cannot be read.
    """
    settings, rows = flatten(as_stored(read_stored_file(config_file(folder)))), _rows(folder / "metrics.jsonl")
    summary, confusion = read_summary(folder), object_of(folder / "confusion.json")
    if problems := [f"{folder}/{problem}" for problem in oddities(settings, rows, summary)]:
        raise CheckpointError(*problems)
    counts, classes = confusion.get("counts", []), confusion.get("classes", [])
    return History(named(folder), settings, rows, summary, counts, classes, _correct(folder, confusion))


def _correct(folder: Path, confusion: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    if "correct" not in confusion:
        return None
    try:
        return unpack_bits(str(confusion["correct"]))
    except ValueError as error:
        raise CheckpointError(f"{folder}/confusion.json: correct: {error}") from None


def oddities(config: Mapping[str, Any], rows: Sequence[Any], summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the first thing in each file that no run writes, so that readers of a history need not check."""
    seed = config.get("seed")
    if not isinstance(seed, int | None):
        yield f"config.yaml: seed: {seed!r} is not a whole number"
    if not ((epoch := summary.get("epoch")) is None or is_finite(epoch)):
        yield f"summary.json: epoch: {epoch!r} is not a number"
    yield from islice(_odd_in_rows(rows), 1)


def _odd_in_rows(rows: Sequence[Any]) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        if _all_finite(row):
            continue
        if not isinstance(row, dict):
            yield f"metrics.jsonl: line {number}: expected a JSON object"
        elif odd := [key for key in ("epoch", "step") if not is_finite(row.get(key))]:
            yield f"metrics.jsonl: line {number}: {odd[0]}: {row.get(odd[0])!r} is not a number"
        else:
            for key, value in row.items():
                if not (value is None or is_finite(value)):
                    yield f"metrics.jsonl: line {number}: {key}: {value!r} is not a number"


def _all_finite(row: Any) -> bool:
    """Return whether a row needs no closer look. A sum is finite only if all its terms are."""
    try:
        return "epoch" in row and "step" in row and math.isfinite(sum(row.values()))
    except (AttributeError, OverflowError, TypeError):
        return False


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """Return the run folders among these paths and directly inside them, by name, each once.

    Raises CheckpointError for each path without one, or with one that may not be looked into.
    """
    folders: dict[Path, Path] = {}
    problems: list[str] = []
    for path in paths:
        try:
            runs = _runs_in(path)
        except PermissionError as error:
            problems.append(f"{error.filename}: cannot be read: {error.strerror}")
            continue
        if not runs:
            what = "not a run folder, and contains none" if path.is_dir() else "no such folder"
            problems.append(f"{path}: {what}")
        for run in runs:
            folders.setdefault(run.resolve(), run)
    if problems:
        raise CheckpointError(*problems)
    return list(folders.values())


def _runs_in(path: Path) -> list[Path]:
    if (path / "config.yaml").is_file():
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    return [each for each in inside if (each / "config.yaml").is_file() and not each.name.startswith(".")]


def _share_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {sys.intern(key): value for key, value in pairs}  # else a row per step stores each name thousands of times


_decode = json.JSONDecoder(object_pairs_hook=_share_keys, parse_constant=lambda _: None).decode  # NaN becomes None


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with disk_errors(path, "cannot be read"):
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                rows.append(_decode(line.decode()))
            except (ValueError, RecursionError):  # it is not UTF-8, or not JSON
                break
    return rows
