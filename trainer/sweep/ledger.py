"""Who has done what of a sweep: an Optuna study in which a trial is one attempt at a point.

The rule that keeps a point from being run twice: of the trials of a point that have not failed, the one with the
lowest number counts, and a controller that has claimed another gives it back. So it does not matter that two
controllers may enqueue the same point at once.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import re
import time
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import optuna
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from trainer.errors import ConfigError, SweepError, first_line
from trainer.sweep.file import Sweep
from trainer.sweep.points import Entry, Point
from trainer.sweep.search import distributions_of, pruner_of, values_of
from trainer.sweep.status import Attempt, State

BEAT_SECONDS = 20
"""How often a controller shows that it lives."""
LOST_SECONDS = 120
"""After how long without a sign a controller on another machine is taken for dead."""


_PATIENCE_SECONDS = 90  # less than LOST_SECONDS: who has waited is not yet taken for dead

P = ParamSpec("P")
R = TypeVar("R")

_INTERRUPTED: Mapping[str, Any] = {"state": "interrupted"}
_DUPLICATE: Mapping[str, Any] = {"state": "missing"}  # no attempt at all: another trial of its point counts


@dataclass(frozen=True)
class Claim:
    """A point that is this controller's to run."""

    trial: int  # Optuna's trial id
    point: Point
    run: str
    last_epoch: int = 0  # that an earlier attempt has reported


def _patient(method: Callable[Concatenate["Ledger", P], R]) -> Callable[Concatenate["Ledger", P], R]:
    """A database that is away for a moment, as in a restart, is asked again. Raises SweepError when it stays away."""

    @wraps(method)
    def asked(self: "Ledger", *args: P.args, **kwargs: P.kwargs) -> R:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return method(self, *args, **kwargs)
            except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
                if time.monotonic() > deadline:
                    cause = error.__cause__ or error
                    raise SweepError(f"{_shown(self._storage.url)}: {first_line(cause)}") from error
                time.sleep(2)

    return asked


class Ledger:
    """One controller's hold on the study of a sweep. Use as a context: the hold ends with it, or with its process.

    Raises SweepError where the storage cannot be opened, or where the sweep was begun with other words, or as another
    search: a study answers one question.
    """

    def __init__(self, sweep: Sweep, folder: Path, storage: str | None, *, words: Sequence[str]) -> None:
        self._sweep = sweep
        self._folder = folder
        self._id = uuid.uuid4().hex
        self._mutex = folder / ".ledger.lock"
        self._wanted: set[str] = set()  # keys of the points that were asked for here
        self._distributions = distributions_of(sweep) if sweep.file.method == "bayes" else {}
        folder.mkdir(parents=True, exist_ok=True)
        with self._alone_here():  # two that make the tables at once get into each other's way
            self._storage = _open(_url(folder, storage))
        try:
            with self._locked(), _quiet():
                self._study = optuna.create_study(
                    storage=self._storage,
                    study_name=sweep.name,
                    direction=sweep.file.metric.goal if sweep.file.metric else "minimize",
                    pruner=pruner_of(sweep),
                    load_if_exists=True,
                )
                self._check_definition(words)
        except BaseException:
            _close(self._storage)
            raise

    def __enter__(self) -> Self:
        self._life = self._life_of(self._id).open("w")
        fcntl.flock(self._life, fcntl.LOCK_EX)  # gone with this process, however that ends
        return self

    def __exit__(self, *_: object) -> None:
        self._life_of(self._id).unlink(missing_ok=True)
        self._life.close()
        _close(self._storage)

    # What is to be done.

    @_patient
    def enqueue(self, entries: Sequence[Entry], *, retry: bool = False) -> None:
        """Each point that nobody runs, ran or is about to run. What crashed or diverged only with `retry`.

        Raises SweepError where a point now has another config than the one that it was begun with.
        """
        with self._locked():
            self._wanted |= {entry.point.key for entry in entries}
            known = self._by_point()
            changed = [
                f"{entry.run}: was begun as config {before} and is {entry.config} now, since a recipe or a default has"
                " changed; give --runs another folder"
                for entry in entries
                for before in {trial.user_attrs["config"] for trial in known.get(entry.point.key, [])} - {entry.config}
            ]
            if changed:
                raise SweepError(*changed)
            for entry in entries:
                before = known.get(entry.point.key, [])
                if _is_due(before, retry=retry):
                    self._enqueue(_attributes(entry), like=before[-1] if before else None)

    @_patient
    def claim(self, entry_of: Callable[[Point], Entry]) -> Claim | None:
        """The next waiting point, now this controller's; of a bayes search, where none waits, a new one by what is
        known so far, of which `entry_of` makes an Entry. None where there is nothing to do."""
        with self._locked():
            for trial in self._trials(TrialState.WAITING):
                if self._is_foreign(trial):
                    continue
                self._storage.record_heartbeat(trial._trial_id)  # before it runs: else nobody could find it lost
                if self._set_state(trial._trial_id, TrialState.RUNNING) and (claim := self._take(trial)):
                    return claim
            return self._propose(entry_of) if self._sweep.file.method == "bayes" else None

    def _is_foreign(self, trial: FrozenTrial) -> bool:
        """Whether it waits since a time when the file had more points. A bayes search's points are all its own."""
        point = trial.user_attrs.get("point")
        return self._sweep.file.method != "bayes" and point is not None and Point(point).key not in self._wanted

    def _propose(self, entry_of: Callable[[Point], Entry]) -> Claim | None:
        for _ in range(20):  # a small space soon repeats itself
            known = self._by_point()
            if len(known) >= (self._sweep.file.run_cap or 0):
                return None
            with _quiet():
                self._study.sampler = optuna.samplers.TPESampler(seed=len(self._trials()), constant_liar=True)
                trial = self._study.ask(self._distributions)
            self._storage.record_heartbeat(trial._trial_id)
            if "point" not in trial.user_attrs:  # else somebody has just put one back
                point = Point(values_of(trial.params, self._sweep.space))
                try:
                    entry = entry_of(point)
                except ConfigError:  # a combination that the check's samples did not meet
                    entry = None
                if entry is None or point.key in known:
                    self._set_state(trial._trial_id, TrialState.FAIL)
                    continue
                for key, value in _attributes(entry).items():
                    trial.set_user_attr(key, value)
            if claim := self._take(self._storage.get_trial(trial._trial_id)):
                return claim
        return None

    def _take(self, trial: FrozenTrial) -> Claim | None:
        """A trial that this controller has set running, unless its point is another's already."""
        point = Point(trial.user_attrs["point"])
        alive = [other.number for other in self._by_point()[point.key] if other.state != TrialState.FAIL]
        if trial.number != min(alive):
            self._end(trial._trial_id, _DUPLICATE)
            return None
        self._storage.set_trial_user_attr(trial._trial_id, "owner", self._id)
        return Claim(trial._trial_id, point, trial.user_attrs["run"], trial.last_step or 0)

    # What has come of it.

    @_patient
    def beat(self, claims: Iterable[Claim]) -> list[Claim]:
        """Show that this controller lives. Returns the claims that it has lost, taken for dead by another one."""
        lost: list[Claim] = []
        for claim in claims:
            self._storage.record_heartbeat(claim.trial)
            if self._storage.get_trial(claim.trial).state != TrialState.RUNNING:
                lost.append(claim)
        return lost

    @_patient
    def finish(self, claim: Claim, state: State, value: float | None = None, message: str = "") -> None:
        """Write down how an attempt ended. `value` is the sweep's metric, where it has one."""
        self._end(claim.trial, {"state": state, "value": value, "message": message})

    @_patient
    def report(self, claim: Claim, epoch: int, value: float) -> bool:
        """Write down the metric in the middle of a run; True where early termination ends it here."""
        early = self._sweep.file.early_terminate
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another has taken it over
            self._storage.set_trial_intermediate_value(claim.trial, epoch, value)
            if early and early.asks_at(epoch):
                living = cast("optuna.Study", _Living(self._study))
                return self._study.pruner.prune(living, self._storage.get_trial(claim.trial))
        return False

    @_patient
    def release_lost(self) -> None:
        """Give up the attempts of controllers that are dead: those of this folder at once, others by their silence."""
        with self._locked(), _quiet():
            for trial in self._trials(TrialState.RUNNING):
                owner = trial.user_attrs.get("owner")
                if self._is_dead(owner) if owner else self._sqlite:  # without an owner: killed while it claimed
                    self._end(trial._trial_id, trial.user_attrs.get("outcome", _INTERRUPTED))
                    self._life_of(owner or "").unlink(missing_ok=True)
            fail_stale_trials(self._study)

    @_patient
    def entries(self) -> list[Entry]:
        """The points that a bayes search has come to so far."""
        kept = {key: trials[0].user_attrs for key, trials in self._by_point().items()}
        return [Entry(Point(known["point"]), known["run"], known["config"]) for known in kept.values()]

    @_patient
    def attempts(self) -> list[Attempt]:
        """Every attempt at every point so far."""
        found: list[Attempt] = []
        for trial in self._trials():
            if (state := _state(trial)) != "missing":
                known, outcome = trial.user_attrs, trial.user_attrs.get("outcome", {})
                if state == "running" and (owner := known.get("owner")) and self._is_dead(owner):
                    state = "interrupted"  # though nobody has written it down yet
                value, message = outcome.get("value"), outcome.get("message", "")
                found.append(Attempt(Point(known["point"]), state, value, known["run"], message))
        return found

    def seconds_a_point(self) -> float | None:
        """Mean wall time of the points that ran to their end in one go."""
        whole = [trials[0] for trials in self._by_point().values() if len(trials) == 1]
        durations = [t.duration.total_seconds() for t in whole if t.state == TrialState.COMPLETE and t.duration]
        return sum(durations) / len(durations) if durations else None

    # The study, trial by trial.

    @property
    def _sqlite(self) -> bool:
        return self._storage.engine.dialect.name == "sqlite"

    def _check_definition(self, words: Sequence[str]) -> None:
        file = self._sweep.file
        metric = [file.metric.name, file.metric.goal] if file.metric else None
        asked = {"words": list(words), "method": file.method, "metric": metric}
        if file.method != "grid":  # whose points tell themselves apart; a search over another space is another search
            asked |= {"run_cap": file.run_cap, "parameters": json.loads(json.dumps(file.parameters))}
        begun = self._study.user_attrs.get("definition")
        if begun is None:
            self._study.set_user_attr("definition", asked)
        elif differing := [key for key in asked if begun.get(key) != asked[key]]:
            raise SweepError(*(
                f"{self._folder}: was begun with {key} {begun.get(key)!r}, not {asked[key]!r}; give --runs another one"
                for key in differing
            ))  # fmt: skip

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study._study_id, deepcopy=False, states=states or None)

    def _by_point(self) -> dict[str, list[FrozenTrial]]:
        found: dict[str, list[FrozenTrial]] = {}
        for trial in self._trials():
            if "point" in trial.user_attrs:  # else a proposal that was cut off, or a repetition
                found.setdefault(Point(trial.user_attrs["point"]).key, []).append(trial)
        return found

    def _enqueue(self, attributes: Mapping[str, Any], *, like: FrozenTrial | None) -> None:
        """`like`: an earlier attempt at the same point, from which a bayes search knows its parameters."""
        past: dict[str, Any] = {}
        if like:  # and early termination its brackets, which it is not to pass twice
            past = {
                name: getattr(like, name) for name in ("params", "distributions", "system_attrs", "intermediate_values")
            }
        self._study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=dict(attributes), **past))

    def _end(self, trial: int, outcome: Mapping[str, Any]) -> None:
        state = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}.get(outcome["state"], TrialState.FAIL)
        value = outcome.get("value")
        worst = -math.inf if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else math.inf
        values = None if state == TrialState.FAIL else [worst if value is None else value]
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another has taken it over
            self._storage.set_trial_user_attr(trial, "outcome", dict(outcome))
            self._storage.set_trial_state_values(trial, state, values)

    def _set_state(self, trial: int, state: TrialState) -> bool:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            return self._storage.set_trial_state_values(trial, state)
        return False

    # Who lives.

    def _life_of(self, controller: str) -> Path:
        return self._folder / f".controller-{controller}.lock"

    def _is_dead(self, controller: str) -> bool:
        """Of a controller that shares this folder: its lock is free. Of others nothing is known here."""
        with contextlib.suppress(FileNotFoundError), self._life_of(controller).open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
        return self._sqlite  # it has left in order, and taken the file with it

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Alone among all controllers: SQLite's reads lock nothing, so that two may read `waiting` and both claim; and
        what is decided from several reads is decided once in PostgreSQL, too."""
        with self._alone_here(), contextlib.ExitStack() as stack:
            if self._storage.engine.dialect.name == "postgresql":
                _lock(stack.enter_context(self._storage.engine.begin()), self._sweep.name)
            yield

    @contextlib.contextmanager
    def _alone_here(self) -> Generator[None]:
        with self._mutex.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def overrides_begun_with(sweep: Sweep, folder: Path, storage: str | None) -> list[str]:
    """The words that every point of a sweep was given. Raises SweepError where it was not begun."""
    if storage is None and not (folder / "ledger.db").exists():
        raise SweepError(f"{folder}: no sweep was begun here; begin it by `trainer sweep run {sweep.path}`")
    url = _url(folder, storage)
    with _opened(url) as found, _quiet():
        try:
            study = optuna.load_study(study_name=sweep.name, storage=found)
        except KeyError as error:
            raise SweepError(f"{_shown(url)}: holds no sweep called {sweep.name!r}") from error
        if "definition" not in study.user_attrs:  # killed in its first moment
            raise SweepError(f"{folder}: no sweep was begun here; begin it by `trainer sweep run {sweep.path}`")
        return study.user_attrs["definition"]["words"]


def _url(folder: Path, storage: str | None) -> str:
    if storage is None:
        return f"sqlite:///{folder / 'ledger.db'}"
    # SQLAlchemy's own driver for the plain name changed between its versions 2.0 and 2.1; ours is the `postgres` extra.
    return storage.replace("postgresql://", "postgresql+psycopg://", 1)


def _open(url: str) -> RDBStorage:
    sqlite = url.startswith("sqlite")
    try:
        with _quiet(), contextlib.ExitStack() as stack:
            if url.startswith("postgresql"):  # two that make its tables at once get into each other's way
                gate = create_engine(url)
                stack.callback(gate.dispose)
                _lock(stack.enter_context(gate.begin()), "tables")
            return RDBStorage(
                url,
                heartbeat_interval=BEAT_SECONDS,
                grace_period=LOST_SECONDS,
                engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {"pool_pre_ping": True},
            )
    except ImportError as error:
        raise SweepError(f"--storage: {_shown(url)}: needs its driver: pip install 'cifar-sweeps[postgres]'") from error
    except Exception as error:  # SQLAlchemy's, the driver's, Optuna's: each has its own
        raise SweepError(f"--storage: {_shown(url)}: {first_line(error)}") from error


@contextlib.contextmanager
def _opened(url: str) -> Iterator[RDBStorage]:
    storage = _open(url)
    try:
        yield storage
    finally:
        _close(storage)


def _close(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def _shown(url: str) -> str:
    return re.sub(r"://([^:/@]+):[^@]*@", r"://\1:***@", url)  # without the password


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's remarks: heartbeats outside of `Study.optimize` are what is wanted here."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


class _Living:
    """A study without its failed trials, for a pruner: a run that was interrupted competes once."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, **how: Any) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(**how) if trial.state != TrialState.FAIL]


def _lock(connection: Connection, name: str) -> None:
    """PostgreSQL's lock of a name, until this connection's transaction ends."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _attributes(entry: Entry) -> dict[str, Any]:
    """In this order: what has a point has the others."""
    return {"run": entry.run, "config": entry.config, "point": dict(entry.point.values)}


def _state(trial: FrozenTrial) -> State:
    match trial.state:
        case TrialState.WAITING:
            return "waiting"
        case TrialState.RUNNING:
            return "running" if "point" in trial.user_attrs else "missing"
        case _ if "point" not in trial.user_attrs:
            return "missing"
        case _:  # an attempt without an outcome: its controller was killed, and another has noticed
            return trial.user_attrs.get("outcome", _INTERRUPTED)["state"]


def _is_due(attempts: Sequence[FrozenTrial], *, retry: bool) -> bool:
    """Whether a point is to be run, by the attempts at it so far."""
    states = [state for trial in attempts if (state := _state(trial)) != "missing"]
    if any(state in ("finished", "stopped", "running", "waiting") for state in states):
        return False
    return not states or states[-1] == "interrupted" or retry
