"""The weights that a run keeps: whose they are, and what they are called."""

from pathlib import Path


def run_of(path: Path) -> Path:
    """Return the folder of a run, of its checkpoint file, or of its `path/EPOCH.pt`."""
    if path.is_dir():
        return path
    return path.parent.parent if path.parent.name == "path" else path.parent


def suffix_of(path: Path) -> str:
    """Return what tells other weights of a run from those of its end: `-best`, or `-12` of `path/12.pt`."""
    return "" if path.is_dir() or path.stem == "checkpoint" else f"-{path.stem}"
