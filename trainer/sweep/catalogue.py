"""The sweep files that come with the trainer, which a command can take by name."""

from pathlib import Path

from trainer.config.explain import did_you_mean
from trainer.errors import SweepError
from trainer.files import write_whole
from trainer.sweep.header import read_header

FOLDER = Path(__file__).parents[1] / "catalogue"
"""In a checkout a link to `sweeps/`. A wheel has the files themselves."""


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def questions() -> dict[str, str]:
    """Return the question of each sweep, by name."""
    return {name: read_header((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))[0].question for name in names()}


def sweep_file(word: str | Path) -> Path:
    """Return the sweep file that a word names: a path, or else a name of the catalogue.

    Raises SweepError for a word that is neither.
    """
    path = Path(word)
    known = str(word) in names()
    if path.suffix in (".yaml", ".yml") or path.is_file() or (path.exists() and not known):
        return path
    if known:  # also if a folder has its name, such as that of its runs
        return FOLDER / f"{word}.yaml"
    raise SweepError(f"{word}: no such file, and no sweep of the catalogue has this name{_hint(path.name)}")


def copy_sweep(name: str, to: Path | None = None) -> Path:
    """Copy a sweep of the catalogue to a new file or into a folder, NAME.yaml by default.

    Raises SweepError if there is such a file, and DiskError if it cannot be written.
    """
    if name not in names():
        raise SweepError(f"{name}: no sweep of the catalogue has this name{_hint(name)}")
    path = to or Path(f"{name}.yaml")
    if path.is_dir():
        path /= f"{name}.yaml"
    if path.exists():
        raise SweepError(f"{path}: exists; give another name: trainer sweep copy {name} FILE")
    write_whole(path, (FOLDER / f"{name}.yaml").read_bytes())
    return path


def _hint(name: str) -> str:
    return did_you_mean(name, names()) or "; `trainer sweep list --catalogue` lists them"
