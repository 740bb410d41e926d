"""What a sweep's database remembers of its beginning."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import optuna

from trainer.sweep.file import Sweep
from trainer.sweep.storage import Database, quiet

OVERRIDES = "words"
"""Name of the overrides in every ledger.db so far: a sweep that was begun earlier is still continued."""


@dataclass(frozen=True)
class Begun:
    """How a sweep was begun."""

    overrides: tuple[str, ...]  # of every point
    seeds: tuple[int, ...]  # that were asked for besides the file's


def begun_with(sweep: Sweep, folder: Path, storage: str | None) -> Begun | None:
    """Return how a sweep was begun, or None if it was not. Raises SweepError if its database cannot be opened."""
    if storage is None and not (folder / "ledger.db").exists():
        return None
    database = Database(folder, storage, sweep.name)
    with contextlib.closing(database), quiet(), contextlib.suppress(KeyError):  # such as one without this study
        known = optuna.load_study(study_name=sweep.name, storage=database.storage).user_attrs
        if "definition" in known:  # else it was killed in its first moment
            return Begun(tuple(known["definition"][OVERRIDES]), tuple(known.get("seeds", ())))
    return None
