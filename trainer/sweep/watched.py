"""Ledger of a sweep for one who only looks: no point is checked, enqueued or claimed."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from trainer.errors import SweepError, first_line
from trainer.sweep.begun import OVERRIDES
from trainer.sweep.file import read_sweep, with_overrides
from trainer.sweep.order import with_seeds
from trainer.sweep.points import points_of
from trainer.sweep.status import Progress, only_begun, progress
from trainer.sweep.storage import Database, quiet, without_password
from trainer.sweep.trials import attempts_in, deleted, replaced, seconds_in


@dataclass(frozen=True)
class Watched:
    """A sweep, by its ledger."""

    progress: Progress
    seconds: Mapping[str, float]  # wall time of each point that finished here in one attempt, by its key


def watched(path: Path, storage: str | None = None, folder: Path | None = None) -> Watched | None:
    """Return what the ledger of a sweep says, None if it has none. `path` is its file, by default in its folder.

    Raises SweepError if the file or the database cannot be read.
    """
    folder = folder or path.parent
    if storage is None and not (folder / "ledger.db").is_file():
        return None
    sweep = read_sweep(path)
    try:
        database = Database(folder, storage, sweep.name)
        with contextlib.closing(database), quiet():
            study = optuna.load_study(study_name=sweep.name, storage=database.storage)
            sweep = with_overrides(sweep, study.user_attrs["definition"][OVERRIDES])
            sweep = with_seeds(sweep, study.user_attrs.get("seeds", ()))
            trials = study.get_trials(deepcopy=False)
            gone = replaced(trials) | (deleted(trials, folder) if database.is_own else frozenset())
            kept = [trial for trial in trials if trial.number not in gone]
            found = progress(points_of(sweep), attempts_in(kept, database.is_dead), sweep=sweep)
            if "decided" in study.user_attrs:
                found = only_begun(found, {each.point.key for each in attempts_in(trials, database.is_dead)})
            return Watched(found, seconds_in(trials))
    except KeyError:  # such as a database without this study, or a study that was killed in its first moment
        return None
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        where = without_password(storage) if storage else folder / "ledger.db"
        raise SweepError(f"{where}: {first_line(error.__cause__ or error)}") from error
