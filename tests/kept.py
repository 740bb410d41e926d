"""Imported by the tests' own processes: what is made anew a thousand times in a test run, and each time the same."""

import copy
import functools
from typing import Any

import typer.main
import typer.testing
from optuna.storages._rdb.storage import _VersionManager

from trainer.config.data import Data, Shapes10
from trainer.data import sources
from trainer.data.images import ImageSet

typer.main.get_command = functools.cache(typer.main.get_command)  # the tree of all commands, for each that is called
typer.testing._get_command = typer.main.get_command  # pyright: ignore[reportPrivateImportUsage]

_read_migrations = _VersionManager._create_alembic_script  # all of Optuna's migrations, three times for each new study
_migrations: list[Any] = []


def _create_alembic_script(self: _VersionManager) -> Any:
    if not _migrations:
        _migrations.append(_read_migrations(self))
    return _migrations[0]


_VersionManager._create_alembic_script = _create_alembic_script


_read = sources._read


@functools.cache
def _drawn(seed: int) -> ImageSet:
    return _read(Shapes10(name="shapes10", seed=seed))


def _read_or_kept(data: Data) -> ImageSet:
    """Draw the 12,000 images of shapes10 once, of which most runs take a few."""
    return copy.deepcopy(_drawn(data.seed)) if isinstance(data, Shapes10) else _read(data)


sources._read = _read_or_kept
