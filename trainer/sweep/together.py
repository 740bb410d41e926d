"""Links to W&B's files of all runs of a sweep in one folder: `wandb leet RUNS/NAME/wandb` shows them together."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from trainer.sweep.engine import Snapshot, Watch


def link_runs(folder: Path) -> None:
    """Link each segment of each run in a sweep's folder, and drop links to what is gone.

    A file system without links has none: the runs are what counts.
    """
    together = folder / "wandb"
    with contextlib.suppress(OSError):
        for link in together.glob("*run-*"):
            if link.is_symlink() and not link.exists():
                link.unlink(missing_ok=True)
        for segment in folder.glob("*/wandb/*run-*"):
            if segment.is_dir() and not (link := together / segment.name).is_symlink():
                together.mkdir(exist_ok=True)
                with contextlib.suppress(FileExistsError):  # by another controller
                    link.symlink_to(os.path.relpath(segment, together), target_is_directory=True)


def linking(folder: Path, watch: Watch) -> Callable[[Snapshot], None]:
    """Return a `watch` that links runs before it calls this one."""

    def both(snapshot: Snapshot) -> None:
        link_runs(folder)
        watch(snapshot)

    return both
