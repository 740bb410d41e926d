"""An unfinished measurement on disk, so that an interrupted one continues where it stopped."""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.errors import CheckpointError
from trainer.files import disk_errors, make_folder, parse_json


class Journal:
    """A file of JSON lines: the settings, then the rows. Use it in a `with` block, in one process at a time.

    `rows` contains the rows of an earlier process too. A last line without a line end is removed.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open or begin the file. Raises DiskError, CheckpointError if it is damaged or another process has it open."""
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
        for number, line in enumerate(lines[1:], 2):
            try:
                row = parse_json(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                self._file.close()
                raise CheckpointError(
                    f"{self.path}: line {number}: expected a JSON object; remove it and the lines after it, which are"
                    " then measured again"
                )
            self.rows.append(row)
        return bool(lines)

    def _append(self, row: Mapping[str, Any]) -> None:
        with disk_errors(self.path):
            self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self._file.flush()


class StepsFile:
    """Lanczos steps, of which resuming needs all: alpha and beta in float64, the next basis vector [P].

    An incomplete record is made again.
    """

    def __init__(self, path: Path, size: int, dtype: torch.dtype) -> None:
        self.path = path
        vector = torch.empty(0, dtype=dtype).numpy().dtype
        self._record = np.dtype([("alpha", np.float64), ("beta", np.float64), ("vector", vector, (size,))])

    def read(self) -> Iterator[tuple[float, float, Tensor]]:
        """Yield the complete steps. Remove an incomplete one from the file."""
        with disk_errors(self.path), self.path.open("a+b") as file:
            file.truncate(file.tell() - file.tell() % self._record.itemsize)
            file.seek(0)
            while record := file.read(self._record.itemsize):
                step = np.frombuffer(bytearray(record), self._record)[0]
                yield float(step["alpha"]), float(step["beta"]), torch.from_numpy(step["vector"])

    def add(self, alpha: float, beta: float, following: Tensor) -> None:
        step = np.array((alpha, beta, following.cpu().numpy()), self._record)
        with disk_errors(self.path), self.path.open("ab") as file:
            file.write(step.tobytes())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def digest(settings: Mapping[str, Any]) -> str:
    """Return six hex digits that identify settings, for a file name."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
