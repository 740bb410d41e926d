"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the rename itself is on disk only then
    finally:
        os.close(handle)
