"""Rows of an unfinished measurement on disk, so that an interrupted one continues where it stopped."""

import fcntl
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import CheckpointError
from trainer.files import disk_errors, make_folder


class Journal:
    """A file of JSON lines: the settings, then the rows. Use it in a `with` block, in one process at a time.

    `rows` contains the rows of an earlier process too. A last line without a line end is removed.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open or begin the file. Raises DiskError, CheckpointError if another process has it open."""
        self.path = path
        make_folder(path.parent)
        with disk_errors(path):
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
        """Write a row of finite numbers, nulls and strings."""
        self._append(row)
        self.rows.append(dict(row))

    def remove(self) -> None:
        """Delete the file: the measurement is complete and its result is written."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> bool:
        """Return whether the file has settings. Remove what follows its last complete line."""
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
    """Return six hex digits that identify settings, for a file name."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
