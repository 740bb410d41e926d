"""Files that are there whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trainer.errors import DiskError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path`, renamed to it when the block ends well and removed when it does not.

    Readers see the old file or the whole new one, also after a power cut. Raises OSError where the folder cannot
    be written.
    """
    aside = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.part")  # a mkstemp file would be its owner's alone
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def write_whole(path: Path, body: bytes) -> None:
    """Readers see the old file or the whole new one. Raises DiskError where it cannot be written."""
    with disk_errors(path), written_whole(path) as file:
        file.write(body)


def write_json(path: Path, content: Any, *, indent: int | None = None) -> None:
    """Write JSON and a newline, whole. Raises DiskError, and ValueError for a number that JSON cannot hold."""
    write_whole(path, (json.dumps(content, indent=indent, allow_nan=False) + "\n").encode())


def make_folder(path: Path) -> None:
    """Make a folder and its parents, if they do not exist yet. Raises DiskError."""
    with disk_errors(path, "cannot be made"):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def disk_errors(path: Path, what: str = "cannot be written") -> Iterator[None]:
    """An OSError inside becomes a DiskError that names `path`."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path}: {what}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the rename itself is on disk only then
    finally:
        os.close(handle)
