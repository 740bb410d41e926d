"""Run folders read again only when their files have changed, and without what is private."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trainer.report.pages.pictures import FOLDER
from trainer.runs.private import public_config, public_provenance
from trainer.runs.results import Result, read_result

Stamp = tuple[tuple[str, int, int], ...]
"""Name, time of change in ns and size in bytes of files."""

_OF_A_RUN = ("config.yaml", "run.json", "metrics.jsonl", "summary.json", "confusion.json")


def stamp(paths: Iterable[Path]) -> Stamp:
    """Return what tells whether files have changed. One that is not there is left out."""
    found: list[tuple[str, int, int]] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


def stamp_of_run(folder: Path) -> Stamp:
    """Return what tells whether the numbers of a run have changed."""
    return stamp(folder / name for name in _OF_A_RUN)


def stamp_of_pictures(folder: Path) -> Stamp:
    """Return what tells whether the pictures of a run have changed."""
    inside = folder / FOLDER
    return stamp(sorted(inside.glob("*.png"))) if inside.is_dir() else ()


class Reader:
    """Reads run folders, each again only when its files have changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, Result]] = {}

    def __call__(self, folder: Path) -> Result:
        """Return the result of a run folder as anyone may read it. Raises CheckpointError if it cannot be read."""
        now = stamp_of_run(folder)  # before the files are read: what is written meanwhile is read next time
        before = self._known.get(folder)
        if before is not None and before[0] == now:
            return before[1]
        read = read_result(folder)
        history = replace(read.history, config=public_config(read.history.config))
        result = replace(read, history=history, provenance=public_provenance(read.provenance))
        self._known[folder] = now, result
        return result
