"""A measurement's rows while it is under way, so that one broken off goes on where it stood."""

import fcntl
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import CheckpointError
from trainer.files import disk_errors


class Journal:
    """A file of JSON lines: the settings, then a row a measurement. Use as a context; one process at a time may.

    `rows` are those that were there already; of a line that a kill has cut short nothing is left.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """`path` is for these settings alone. Raises CheckpointError where another process has it open, DiskError."""
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise CheckpointError(f"{path}: another process is measuring this") from error
        self.rows: list[dict[str, Any]] = []
        if not self._read():
            self._append(settings)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """`row` holds finite numbers, nulls and texts."""
        self._append(row)
        self.rows.append(dict(row))

    def remove(self) -> None:
        """The measurement is whole and lies elsewhere."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> bool:
        """Whether the file was begun; what follows its last whole line is cut off."""
        self._file.seek(0)
        lines = [line for line in self._file if line.endswith(b"\n")]
        self._file.truncate(sum(map(len, lines)))
        self.rows += map(json.loads, lines[1:])
        return bool(lines)

    def _append(self, row: Mapping[str, Any]) -> None:
        with disk_errors(self.path):
            self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self._file.flush()


def digest(settings: Mapping[str, Any]) -> str:
    """Six hex digits of settings, for a file's name."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
