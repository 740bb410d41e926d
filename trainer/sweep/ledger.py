"""The attempts at the points of a sweep: an Optuna study in which a trial is one attempt.

No point is run twice: of the trials of a point that have not failed, the one with the lowest number counts, and a
controller that has claimed another one gives it back. Controllers decide under a common lock, where they have one. Two
that share only an SQLite file may enqueue the same point at once.
"""

import contextlib
import math
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from trainer.errors import ConfigError, SweepError, UserError
from trainer.runs.chance import TestSet
from trainer.runs.folder import config_hash, read_config
from trainer.runs.history import is_finite
from trainer.sweep import begun
from trainer.sweep.file import Sweep
from trainer.sweep.have import Had
from trainer.sweep.hyperband import is_hopeless
from trainer.sweep.points import Entry, Point
from trainer.sweep.search import propose, shown_distributions
from trainer.sweep.status import Attempt, State
from trainer.sweep.storage import Database, patient, quiet
from trainer.sweep.trials import (
    ENDS,
    INTERRUPTED,
    archived,
    attempts_in,
    attributes_of,
    deleted,
    histories_of,
    is_due,
    is_open,
    replaced,
    seconds_in,
    state_of,
    waiting,
)

_PROPOSALS = 21  # that may repeat a known point, as in a small space, before there are no more
_DUPLICATE: Mapping[str, Any] = {"state": "missing"}  # no attempt: another trial of its point counts


@dataclass(frozen=True)
class Claim:
    """A point that is this controller's to run."""

    trial: int  # Optuna's trial id
    point: Point
    run: str
    last_epoch: int = 0  # reported by an earlier attempt


class Ledger:
    """One controller's hold on the study of a sweep. Use as a context: the hold ends with it, or with its process.

    Raises SweepError if the storage cannot be opened, or if the sweep was begun with other overrides or as another
    search, because a study answers one question.
    """

    def __init__(self, sweep: Sweep, folder: Path, storage: str | None, *, overrides: Sequence[str]) -> None:
        self._sweep = sweep
        self._folder = folder
        self._id = uuid.uuid4().hex
        self._read: list[FrozenTrial] = []
        self._read_at: int | None = None
        self._wanted: dict[str, int] = {}  # key of each point that was asked for here -> its place in the order
        self.database = Database(folder, storage, sweep.name)
        self._storage = self.database.storage
        try:
            with self.database.locked(), quiet():
                self._study = optuna.create_study(
                    storage=self._storage,
                    study_name=sweep.name,
                    direction=sweep.file.metric.goal if sweep.file.metric else "minimize",
                    load_if_exists=True,
                )
                begun.check_definition(self._study, sweep, self.database, overrides)
                self._deleted = deleted(self._trials(), folder) if self.database.is_own else frozenset[int]()
        except BaseException:
            self.database.close()
            raise

    def __enter__(self) -> Self:
        self._life = self.database.show_life(self._id)
        return self

    def __exit__(self, *_: object) -> None:
        self.database.forget(self._id)
        self._life.close()
        self.database.close()

    # What is to be done.

    @patient
    def enqueue(self, entries: Sequence[Entry], *, retry: bool = False) -> None:
        """Add each point that is not done, running or waiting. With `retry`, also what crashed or diverged.

        This controller claims them in the order of its first call.

        Raises SweepError if a point now has another config than the one it was begun with.
        """
        with self.database.locked():
            for entry in entries:
                self._wanted.setdefault(entry.point.key, len(self._wanted))
            trials = self._trials()  # once, so that what is added meanwhile does not look deleted
            known, every = _by_point(self._kept(trials)), _by_point(trials)
            changed = [
                f"{entry.run}: was begun as config {before} and is {entry.config} now, since an own part, a recipe or a"
                f" default has changed; {self.database.another}"
                for entry in entries
                for run, before in self._begun_as(known.get(entry.point.key, []))
                if before != entry.config and self._has_changed(run, entry.config)
            ]
            if changed:
                raise SweepError(*changed)
            shown = self._shown()
            for entry in entries:
                before = known.get(entry.point.key, [])
                if is_due(before, retry=retry):
                    kept = {trial.number for trial in before}
                    gone = [trial for trial in every.get(entry.point.key, []) if trial.number not in kept]
                    self._study.add_trial(waiting(entry, like=before[-1] if before else None, gone=gone, shown=shown))

    @patient
    def take(self, runs: Iterable[Had]) -> None:
        """Count points as done whose runs are in an archive, unless they run or are done here."""
        with self.database.locked():
            known, shown = self._by_point(), self._shown()
            for had in runs:
                before = known.get(had.entry.point.key, [])
                if is_open(map(state_of, before), had.attempt.state):
                    for trial in (trial for trial in before if trial.state == TrialState.WAITING):
                        self._end(trial._trial_id, _DUPLICATE)
                    self._study.add_trial(archived(had, worst=self._worst, shown=shown))

    def _begun_as(self, trials: Iterable[FrozenTrial]) -> set[tuple[str, str]]:
        """Return the name and the config of each run that stands. What only waits can still become another one here.

        In a shared database, another machine may be about to run it as it is.
        """
        stand = [each for each in trials if each.state != TrialState.WAITING or not self.database.is_own]
        return {(trial.user_attrs["run"], trial.user_attrs["config"]) for trial in stand}

    def _has_changed(self, run: str, config: str) -> bool:
        """Return whether a run's own config is another one now. An earlier revision hashed other keys of the same."""
        try:
            return config_hash(read_config(self._folder / run)) != config
        except UserError:  # it is gone or no longer valid: the ledger's word counts
            return True

    @patient
    def note_seeds(self, seeds: Sequence[int], *, of_all: bool = True) -> None:
        """Remember seeds that were asked for besides the file's, so that every later command knows their points.

        `of_all` is False if some configurations only are to have them.
        """
        begun.note_seeds(self._study, seeds, of_all=of_all)

    @patient
    def note_design(self, design: Mapping[str, Any], said: str) -> None:
        """Remember the design of a sequential sweep, also as its file says it.

        Raises SweepError for another one than it was begun with.
        """
        begun.note_design(self._study, self.database, design, said)

    @property
    def added(self) -> Collection[int]:
        """Return the seeds that every configuration is to have, or may get until the sweep is decided."""
        known = self._study.user_attrs
        return frozenset(known["design"].get("seeds", ()) if "decided" in known else known.get(begun.OF_ALL, ()))

    @property
    def until(self) -> str:
        """Return how seeds are added until it is decided, as the file says it, or "" if they are the file's."""
        return str(self._study.user_attrs.get("decided", ""))

    @patient
    def claim(self, entry_of: Callable[[Point], Entry]) -> Claim | None:
        """Claim the next waiting point for this controller. Return None if there is nothing to do.

        A search that proposes as it runs does so if no point waits, and `entry_of` makes an Entry of the new one.
        """
        with self.database.locked():
            for trial in sorted(self._trials(TrialState.WAITING), key=self._place):
                if self._is_foreign(trial):
                    continue
                self._storage.record_heartbeat(trial._trial_id)  # before it runs, or else nobody could find it lost
                if self._set_state(trial._trial_id, TrialState.RUNNING) and (claim := self._take(trial)):
                    return claim
            return self._propose(entry_of) if self._sweep.proposes else None

    def _is_foreign(self, trial: FrozenTrial) -> bool:
        """Return whether a trial is of a point that has left the file. Points that were proposed never are."""
        point = trial.user_attrs.get("point")
        return not self._sweep.proposes and point is not None and Point(point).key not in self._wanted

    def _place(self, trial: FrozenTrial) -> int:
        point = trial.user_attrs.get("point")
        return self._wanted.get(Point(point).key, 0) if point is not None else 0

    def _propose(self, entry_of: Callable[[Point], Entry]) -> Claim | None:
        no_more_points = False
        for attempt in range(_PROPOSALS):
            known, trials = self._by_point(), self._trials()
            if len(known) >= self._sweep.cap:
                return None
            no_more_points |= attempt == _PROPOSALS - 1
            with quiet():
                proposal = propose(trials, self._sweep, no_more_points=no_more_points)
            if proposal is None:
                if no_more_points:
                    return None
                no_more_points = True
                continue
            entry = None
            if proposal.point.key not in known:
                with contextlib.suppress(ConfigError):  # a combination that was not among the check's samples
                    entry = entry_of(proposal.point)
            trial = optuna.trial.create_trial(
                state=TrialState.RUNNING if entry else TrialState.FAIL,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                user_attrs=attributes_of(entry) if entry else {"refused": proposal.point.key},
            )
            id = self._storage.create_new_trial(self._study._study_id, template_trial=trial)
            if entry:
                self._storage.record_heartbeat(id)
                return self._take(self._storage.get_trial(id))
        return None

    def _take(self, trial: FrozenTrial) -> Claim | None:
        """Claim a trial that this controller has set running, unless another one already has its point."""
        point = Point(trial.user_attrs["point"])
        alive = [other.number for other in self._by_point()[point.key] if other.state != TrialState.FAIL]
        if trial.number != min(alive):
            self._end(trial._trial_id, _DUPLICATE)
            return None
        self._storage.set_trial_user_attr(trial._trial_id, "owner", self._id)
        return Claim(trial._trial_id, point, trial.user_attrs["run"], trial.last_step or 0)

    # What has come of it.

    @patient
    def beat(self, claims: Iterable[Claim]) -> list[Claim]:
        """Show that this controller is alive. Return the claims that another one has taken over."""
        lost: list[Claim] = []
        for claim in claims:
            self._storage.record_heartbeat(claim.trial)
            if self._storage.get_trial(claim.trial).state != TrialState.RUNNING:
                lost.append(claim)
        return lost

    @patient
    def finish(
        self,
        claim: Claim,
        state: State,
        value: float | None = None,
        message: str = "",
        *,
        tests: TestSet | None = None,
    ) -> None:
        """Note how an attempt ended. `value` is the sweep's metric, if it has one. `tests` is the run's test set."""
        self._end(claim.trial, {"state": state, "value": value, "message": message, "tests": tests})

    @patient
    def report(self, claim: Claim, epoch: int, value: float) -> bool:
        """Note the metric in the middle of a run. Return True if early termination ends the run here."""
        early, metric = self._sweep.file.early_terminate, self._sweep.file.metric
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another controller has taken it over
            self._storage.set_trial_intermediate_value(claim.trial, epoch, value)
            if early and metric:
                histories = histories_of(self._kept())
                return is_hopeless(
                    histories[claim.run], list(histories.values()), early, maximize=metric.goal == "maximize"
                )
        return False

    @patient
    def release_lost(self) -> None:
        """Give up the attempts of dead controllers: those of this folder at once, others after their silence."""
        with self.database.locked(), quiet():
            for trial in self._trials(TrialState.RUNNING):
                owner = trial.user_attrs.get("owner")
                if (
                    self.database.is_dead(owner) if owner else self.database.is_own
                ):  # without an owner: killed while it claimed
                    self._end(trial._trial_id, trial.user_attrs.get("outcome", INTERRUPTED))
                    self.database.forget(owner or "")
            fail_stale_trials(self._study)

    @patient
    def entries(self) -> list[Entry]:
        """Return the points that a search has proposed so far, also those of deleted runs."""
        kept = {key: trials[0].user_attrs for key, trials in _by_point(self._trials()).items()}
        return [Entry(Point(known["point"]), known["run"], known["config"]) for known in kept.values()]

    @patient
    def attempts(self) -> list[Attempt]:
        """Return every attempt at every point so far."""
        return attempts_in(self._kept(), self.database.is_dead)

    @patient
    def seconds(self) -> dict[str, float]:
        """Return the wall time in seconds of each point that finished in one attempt here, by its key."""
        return seconds_in(self._trials())

    # The study, trial by trial.

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in these states, or all. They are read again only where somebody has written since."""
        version = self.database.version()
        if version is None or version != self._read_at:
            self._read = self._storage.get_all_trials(self._study._study_id, deepcopy=False)
            self._read_at = version  # as it was before: what is written meanwhile is read the next time
        return [trial for trial in self._read if not states or trial.state in states]

    def _kept(self, trials: Sequence[FrozenTrial] | None = None) -> list[FrozenTrial]:
        """Return the trials, without those whose run folder was deleted before this ledger was opened."""
        trials = self._trials() if trials is None else trials
        gone = self._deleted | replaced(trials)
        return [trial for trial in trials if trial.number not in gone]

    def _shown(self) -> dict[str, BaseDistribution]:
        """Return what new trials show as params. Those that were proposed have them."""
        return {} if self._sweep.proposes else shown_distributions(self._sweep, self._trials())

    def _by_point(self) -> dict[str, list[FrozenTrial]]:
        return _by_point(self._kept())

    def _end(self, trial: int, outcome: Mapping[str, Any]) -> None:
        state = ENDS.get(outcome["state"], TrialState.FAIL)
        value = outcome.get("value")
        value = value if is_finite(value) else None  # the metric may name a text
        values = None if state == TrialState.FAIL else [self._worst if value is None else value]
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another controller has taken it over
            self._storage.set_trial_user_attr(trial, "outcome", {**outcome, "value": value})
            self._storage.set_trial_state_values(trial, state, values)

    @property
    def _worst(self) -> float:
        return -math.inf if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else math.inf

    def _set_state(self, trial: int, state: TrialState) -> bool:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            return self._storage.set_trial_state_values(trial, state)
        return False


def _by_point(trials: Iterable[FrozenTrial]) -> dict[str, list[FrozenTrial]]:
    found: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if "point" in trial.user_attrs:  # otherwise a proposal that was cut off, or a repetition
            found.setdefault(Point(trial.user_attrs["point"]).key, []).append(trial)
    return found
