"""The database of a ledger: an Optuna storage, and the locks by which controllers exclude and recognise each other."""

import contextlib
import fcntl
import hashlib
import re
import sqlite3.dbapi2
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TextIO, TypeVar

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import Connection, QueuePool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from trainer.errors import SweepError, first_line
from trainer.files import disk_errors, make_folder

BEAT_SECONDS = 20
"""Time between two signs of life of a controller."""
LOST_SECONDS = 120
"""Silence after which a controller on another machine counts as dead."""
_ANOTHER = "the sweep file another name, or --storage another database"
_WAIT_SECONDS = 60  # for another writer of an SQLite file
_PATIENCE_SECONDS = 90  # less than LOST_SECONDS: a controller that has waited does not count as dead yet
_fitting = set[tuple[Path, str]]()  # storages whose tables this process has found to be those of its Optuna


class Database:
    """The storage of one sweep's study, shared by all its controllers. Close it after use.

    Raises SweepError if it cannot be opened.
    """

    def __init__(self, folder: Path, url: str | None, study: str) -> None:
        """`url` is None for a file in `folder`, which also contains the locks."""
        self.folder, self._study = folder, study
        self.is_own = url is None
        """A file in `folder`, beside the locks of all its controllers."""
        self.address = _address(folder, url)
        self._watching: Connection | None = None
        make_folder(folder)
        with self._alone_here():  # two controllers that make the tables at once disturb each other
            self.storage = _open(self.address, folder / "ledger.db" if url is None else None)

    @property
    def is_sqlite(self) -> bool:
        return self.storage.engine.dialect.name == "sqlite"

    @property
    def where(self) -> str:
        """The place of the study in a message."""
        return str(self.folder) if self.is_own else f"{without_password(self.address)}: {self._study}"

    @property
    def another(self) -> str:
        """Advice that gives another sweep a study of its own, whose name is that of the file."""
        return f"give {'--runs another one' if self.is_own else _ANOTHER}"

    def version(self) -> int | None:
        """Return a number that stays the same until anybody writes, or None where nothing tells that.

        SQLite has one for each connection, of what all others have committed. So this connection never writes.
        """
        if not (self.is_sqlite and isinstance(self.storage.engine.pool, QueuePool)):  # one in memory has one connection
            return None
        self._watching = self._watching or self.storage.engine.connect()
        return int(self._watching.exec_driver_sql("PRAGMA data_version").scalar_one())

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Exclude all other controllers.

        SQLite's reads lock nothing, so two controllers might read `waiting` and both claim. In PostgreSQL, too, what
        follows from several reads must be decided once.
        """
        with self._alone_here(), contextlib.ExitStack() as stack:
            if self.storage.engine.dialect.name == "postgresql":
                _lock(stack.enter_context(self.storage.engine.begin()), self._study)
            yield

    def show_life(self, controller: str) -> TextIO:
        """Return an open file whose lock ends with this process, however that ends."""
        with disk_errors(self._life_of(controller)):
            file = self._life_of(controller).open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def forget(self, controller: str) -> None:
        self._life_of(controller).unlink(missing_ok=True)

    def is_dead(self, controller: str) -> bool:
        """Return whether a controller has ended. One of another folder that shares only the database never has."""
        with disk_errors(self._life_of(controller), "cannot be read"):
            try:
                file = self._life_of(controller).open("r")
            except FileNotFoundError:
                return self.is_own  # it has ended in order, and removed its file
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def close(self) -> None:
        if self._watching:
            self._watching.close()
        self.storage.remove_session()
        self.storage.engine.dispose()

    def _life_of(self, controller: str) -> Path:
        return self.folder / f".controller-{controller}.lock"

    @contextlib.contextmanager
    def _alone_here(self) -> Generator[None]:
        path = self.folder / ".ledger.lock"
        with disk_errors(path):
            file = path.open("w")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class HasDatabase(Protocol):
    database: Database


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=HasDatabase)


def patient(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Ask a database again that is away for a moment, as in a restart. Raises SweepError if it stays away."""

    @wraps(method)
    def asked(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return method(self, *args, **kwargs)
            except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
                if time.monotonic() > deadline:
                    cause = error.__cause__ or error
                    raise SweepError(f"{without_password(self.database.address)}: {first_line(cause)}") from error
                time.sleep(2)

    return asked


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's remarks: heartbeats outside of `Study.optimize` are intended here."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def without_password(url: str) -> str:
    """Return an address with *** for its password, as it may be shown. A password may have an @ in it."""
    hidden = re.sub(r"^((?:.*?://)?[^:/@]*):(?!//).*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*pass\w*=)[^&]*", r"\1***", hidden)


def _address(folder: Path, url: str | None) -> str:
    if url is None:
        return f"sqlite:///{folder / 'ledger.db'}"
    if not re.match(r"(postgres(ql)?|sqlite)(\+\w+)?://", url):  # `Database.locked` knows no other
        raise SweepError(f"--storage: {without_password(url)}: expected postgresql://USER@HOST/NAME or sqlite:///FILE")
    # SQLAlchemy's own driver for the plain name changed between its versions 2.0 and 2.1; ours is the `postgres` extra.
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _open(url: str, file: Path | None) -> RDBStorage:
    """Open a database by its address, or a `file` as it is: an address has another meaning for ?, % and braces."""
    knobs: dict[str, Any] = {"pool_pre_ping": True}
    if file is not None:
        path = file.absolute()
        knobs = {"creator": lambda: _connect(path), "poolclass": QueuePool}
    elif url.startswith("sqlite"):
        knobs = {"connect_args": {"timeout": _WAIT_SECONDS}}
    try:
        with quiet(), contextlib.ExitStack() as stack:
            if url.startswith("postgresql"):  # two controllers that make its tables at once disturb each other
                gate = create_engine(url)
                stack.callback(gate.dispose)
                _lock(stack.enter_context(gate.begin()), "tables")
            place = (Path.cwd(), url)  # a path may be relative
            storage = RDBStorage(
                url if file is None else "sqlite://",
                heartbeat_interval=BEAT_SECONDS,
                grace_period=LOST_SECONDS,
                engine_kwargs=knobs,
                skip_compatibility_check=place in _fitting,  # it runs each of Optuna's migrations, and takes 50 ms
            )
            _fitting.add(place)
            return storage
    except ImportError as error:
        cure = "pip install 'cifar-sweeps[postgres]'"
        cure += "" if "+psycopg:" in url else ", and write postgresql://"
        raise SweepError(f"--storage: {without_password(url)}: needs its driver: {cure}") from error
    except Exception as error:  # SQLAlchemy's, the driver's, Optuna's: each has its own
        raise SweepError(f"--storage: {without_password(url)}: {first_line(error)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.dbapi2.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)  # the pool keeps threads apart


def _lock(connection: Connection, name: str) -> None:
    """Take PostgreSQL's lock of a name until this connection's transaction ends."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
