"""Imported by the processes of the tests: what they write need not outlive a crash of the machine.

A wait for the disk takes 4 to 10 ms, and a sweep's ledger waits at each change. A process that is killed loses nothing.
"""

import contextlib
import os
import sqlite3.dbapi2
from typing import Any


def _leave_to_the_system(handle: object) -> None:
    """Stand for `os.fsync`."""


os.fsync = _leave_to_the_system
_connect = sqlite3.dbapi2.connect  # SQLAlchemy's way to SQLite


def _unsynced(*arguments: Any, **options: Any) -> sqlite3.Connection:
    connection = _connect(*arguments, **options)
    with contextlib.suppress(sqlite3.Error):  # of a damaged file, which the next statement finds
        connection.execute("PRAGMA synchronous = OFF")
    return connection


sqlite3.dbapi2.connect = _unsynced
