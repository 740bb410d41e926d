"""Imported by the tests' own processes: what is made anew a thousand times in a test run, and each time the same."""

import functools
from typing import Any

import typer.main
import typer.testing
from optuna.storages._rdb.storage import _VersionManager

typer.main.get_command = functools.cache(typer.main.get_command)  # the tree of all commands, for each that is called
typer.testing._get_command = typer.main.get_command

_read = _VersionManager._create_alembic_script  # all of Optuna's migrations, three times for each new study
_migrations: list[Any] = []


def _create_alembic_script(self: _VersionManager) -> Any:
    if not _migrations:
        _migrations.append(_read(self))
    return _migrations[0]


_VersionManager._create_alembic_script = _create_alembic_script
