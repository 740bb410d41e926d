"""The weights that a run keeps: whose they are, and what they are called."""

from pathlib import Path

from trainer.config.overrides import canonical


def run_of(path: Path) -> Path:
    """Return the folder of a run, of its checkpoint file, or of its `path/EPOCH.pt`."""
    if path.is_dir():
        return path
    return path.parent.parent if path.parent.name == "path" else path.parent


def name_of(epoch: float) -> str:
    """Return `path/12`, or `path/1.3333333333333333`: all digits, since the epoch is read from the name."""
    return f"path/{canonical(epoch)!r}"


def suffix_of(path: Path) -> str:
    """Return what tells other weights of a run from those of its end: `-best`, or `-12` of `path/12.pt`."""
    return "" if path.is_dir() or path.stem == "checkpoint" else f"-{path.stem}"
