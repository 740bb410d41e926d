"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path`, renamed to it when the block ends well and removed when it does not.

    Readers see the old file or the whole new one. Raises OSError where the folder cannot be written.
    """
    aside = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.part")  # a mkstemp file would be its owner's alone
    try:
        with aside.open("wb") as file:
            yield file
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
