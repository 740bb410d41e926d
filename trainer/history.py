"""A run read back from its folder: config, rows, summary. Numbers only; its weights are `trained`'s business."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config.overrides import flatten
from trainer.config.recipes import read_settings_file
from trainer.errors import CheckpointError
from trainer.files import disk_errors


@dataclass(frozen=True)
class History:
    """What a run was asked for and what came of it. Accuracies are fractions, times seconds."""

    folder: Path
    config: dict[str, Any]  # resolved, flat, dotted keys
    rows: list[dict[str, Any]]  # of metrics.jsonl, in their order; each has `epoch` and `step`
    summary: dict[str, Any]  # empty while the run has not ended
    confusion: list[list[int]]  # [K, K] test images by true class, then by predicted; empty where there is none

    @property
    def name(self) -> str:
        return self.folder.name

    def having(self, *keys: str) -> list[dict[str, Any]]:
        """The rows in which all of these are finite numbers."""
        return [row for row in self.rows if all(row.get(key) is not None for key in keys)]


def read_history(folder: Path) -> History:
    """Raises CheckpointError for what is no run folder. A row that was cut short by a kill is left out, and all after."""
    config = folder / "config.yaml"
    if not config.is_file():
        raise CheckpointError(f"{folder}: not a run folder (no config.yaml in it)")
    return History(
        folder,
        flatten(read_settings_file(config)),
        _rows(folder / "metrics.jsonl"),
        _json(folder / "summary.json", {}),
        _json(folder / "confusion.json", []),
    )


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run folders among these, and those that lie in them, as in a sweep's folder; each once, sorted by name within.

    Raises CheckpointError for a path that holds none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if (path / "config.yaml").is_file():
            found[path] = None
            continue
        inside = sorted(each.parent for each in path.glob("*/config.yaml"))
        if not inside:
            raise CheckpointError(f"{path}: no run folder, and none lies in it")
        found |= dict.fromkeys(inside)
    return list(found)


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    with disk_errors(path, "cannot be read"):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def _json(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return otherwise
