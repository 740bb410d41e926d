"""Files that `trainer landscape` has written: an object with `settings` and `rows`."""

from pathlib import Path
from typing import Any

from trainer.errors import CheckpointError
from trainer.files import read_object


def read_measured(path: Path) -> dict[str, Any]:
    """Return a surface, or the Hessians of a run. Raises CheckpointError for a damaged or foreign file, DiskError."""
    content = read_object(path)
    if missing := [key for key, kind in (("settings", dict), ("rows", list)) if not isinstance(content.get(key), kind)]:
        raise CheckpointError(f"{path}: not what `trainer landscape` writes, without {missing[0]}")
    return content
