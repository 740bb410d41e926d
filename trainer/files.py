"""Files that are either complete or absent."""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trainer.errors import CheckpointError, DiskError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside `path`. It is renamed to `path` if the block succeeds, and removed otherwise.

    Readers see the old file or the complete new one, also after a power cut. Raises OSError if the folder cannot be
    written.
    """
    aside = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.part")  # only the owner could read a mkstemp file
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync(path.parent)  # the rename itself is on disk only then
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`. It is renamed to `path` if the block succeeds, and removed otherwise.

    `path` is absent. Raises OSError if it is not, or if the folder cannot be written.
    """
    aside = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.part")
    aside.mkdir()
    try:
        yield aside
        for file in aside.iterdir():
            _sync(file)
        _sync(aside)
        aside.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_whole(path: Path, body: bytes) -> None:
    """Write a file so that readers see the old one or the complete new one. Raises DiskError."""
    with disk_errors(path), written_whole(path) as file:
        file.write(body)


def write_json(path: Path, content: Any, *, indent: int | None = None) -> None:
    """Write JSON and a newline. Raises DiskError, and ValueError for a number that JSON does not have."""
    write_whole(path, (json.dumps(content, indent=indent, allow_nan=False) + "\n").encode())


def finite_or_none(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return `numbers` with None for infinite values and NaN, which JSON does not have."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}


def parse_json(text: str | bytes, **how: Any) -> Any:
    """Return JSON, with `how` as of json.loads. Raises ValueError for anything else, also for what is too deep."""
    try:
        return json.loads(text, **how)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises CheckpointError if it has anything else, DiskError."""
    with disk_errors(path, "cannot be read"):
        body = path.read_bytes()
    try:
        content = parse_json(body)
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged, because it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return content


def make_folder(path: Path) -> None:
    """Make a folder and its parents, if they do not exist yet. Raises DiskError."""
    with disk_errors(path, "cannot be made"):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in this block with the same folder. Raises DiskError."""
    with disk_errors(folder, "cannot be locked"):
        handle = os.open(folder, os.O_RDONLY)
    try:
        with disk_errors(folder, "cannot be locked"):
            fcntl.flock(handle, fcntl.LOCK_EX)  # gone with the process, however that ends
        yield
    finally:
        os.close(handle)


@contextmanager
def disk_errors(path: Path, what: str = "cannot be written") -> Iterator[None]:
    """Turn an OSError inside into a DiskError that names `path`."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path}: {what}: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
