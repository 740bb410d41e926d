"""State that a run folder has for a resume. One that would lose something is refused before anything is touched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import CheckpointError
from trainer.files import disk_errors
from trainer.runs.checkpoint import load_checkpoint
from trainer.sinks.folder import ROWS, rows_known


def read_state(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a run's last checkpoint, None if the run was killed before its first one.

    Raises CheckpointError for a damaged checkpoint, for one that has been lost, or if rows from before it have been.
    """
    path, rows = folder / "checkpoint.pt", folder / ROWS
    with disk_errors(folder, "cannot be read"):
        size = rows.stat().st_size if rows.exists() else 0
        begun = path.exists()
    if not begun:
        if size or summary.get("step"):
            found = "rows" if size else f"a summary at step {summary['step']}"
            raise CheckpointError(f"{path}: missing, but there are {found}; bring it back, or start a new run")
        return None
    state = load_checkpoint(path)
    known = rows_known(state["sinks"].get("folder", {}))
    if size < known:
        raise CheckpointError(
            f"{rows}: has {size} of the {known} bytes that the checkpoint knows; bring it back, or start a new run"
        )
    return state
