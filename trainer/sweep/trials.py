"""The state of an attempt at a point, read from an Optuna trial."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from trainer.sweep.have import Had
from trainer.sweep.hyperband import finite
from trainer.sweep.points import Entry, Point
from trainer.sweep.search import shown_params
from trainer.sweep.status import DONE, Attempt, State

INTERRUPTED: Mapping[str, Any] = {"state": "interrupted"}
REPLACES = "replaces"
"""The attribute of a trial that names deleted ones of its point, by number."""
ENDS: Mapping[str, TrialState] = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}  # others have failed


def attributes_of(entry: Entry) -> dict[str, Any]:
    """Return an entry as attributes of a trial. A trial with a point has the others too, because of their order."""
    return {"run": entry.run, "config": entry.config, "point": dict(entry.point.values)}


def waiting(
    entry: Entry, *, like: FrozenTrial | None, gone: Sequence[FrozenTrial], shown: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    """Return a point to run as a trial, with `shown` of its values as params.

    `like` is an earlier attempt at the same point, which goes on in its folder. `gone` are those whose folder was
    deleted. The new trial names them, since its run makes the same folder again.
    """
    if like:
        entry = replace(entry, run=like.user_attrs["run"])  # a file that varies another key names the point otherwise
    known = {REPLACES: [trial.number for trial in gone], **attributes_of(entry)} if gone else attributes_of(entry)
    past: dict[str, Any] = _params(entry, shown)
    if gone:  # with what a search's sampler learns from, but none of the values
        past = {name: getattr(gone[-1], name) for name in ("params", "distributions")}
    if like:  # with its brackets, so that early termination does not pass them twice
        past = {
            name: getattr(like, name) for name in ("params", "distributions", "system_attrs", "intermediate_values")
        }
    return optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=known, **past)


def archived(had: Had, *, worst: float, shown: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """Return a run of an archive as a trial that has ended. `worst` stands for a value that it does not have."""
    attempt = had.attempt
    state = ENDS.get(attempt.state, TrialState.FAIL)
    outcome = {
        "state": attempt.state,
        "value": attempt.value,
        "message": attempt.message,
        "where": attempt.where,
        "tests": attempt.tests,
    }
    return optuna.trial.create_trial(
        state=state,
        value=None if state == TrialState.FAIL else worst if attempt.value is None else attempt.value,
        user_attrs={**attributes_of(had.entry), "outcome": outcome, "archive": attempt.archive},
        intermediate_values=dict(had.curve),
        **_params(had.entry, shown),
    )


def _params(entry: Entry, shown: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {"params": shown_params(entry.point.values, shown), "distributions": dict(shown)}


def attempt_of(trial: FrozenTrial, state: State) -> Attempt:
    """Return an attempt at a point, in a state that may have changed since it was noted."""
    known, outcome = trial.user_attrs, trial.user_attrs.get("outcome", {})
    where, message = outcome.get("where", known["run"]), outcome.get("message", "")
    images, classes = outcome.get("tests") or (None, None)
    return Attempt(
        Point(known["point"]),
        state,
        outcome.get("value"),
        where,
        message,
        archive=known.get("archive", ""),
        tests=(images, classes) if images and classes else None,
    )


def attempts_in(trials: Iterable[FrozenTrial], is_dead: Callable[[str], bool]) -> list[Attempt]:
    """Return every attempt at every point. `is_dead` says whether a controller has ended."""
    found: list[Attempt] = []
    for trial in trials:
        if (state := state_of(trial)) != "missing":
            if state == "running" and (owner := trial.user_attrs.get("owner")) and is_dead(owner):
                state = "interrupted"  # although nobody has noted it yet
            found.append(attempt_of(trial, state))
    return found


def deleted(trials: Iterable[FrozenTrial], folder: Path) -> frozenset[int]:
    """Return the numbers of trials whose run ended well in a run folder in `folder` that is gone.

    Earlier attempts at it were in the same folder. Runs of archives are never gone. Only the ledger that lies in
    `folder` can say so: machines that share a database share no folders.
    """
    here = {path.name for path in folder.iterdir()}
    ended = [
        trial
        for trial in trials
        if trial.state.is_finished() and "run" in trial.user_attrs and "archive" not in trial.user_attrs
    ]
    last = {trial.user_attrs["run"]: trial.number for trial in ended if state_of(trial) in ENDS}
    gone = {run: number for run, number in last.items() if run not in here}
    return frozenset(trial.number for trial in ended if trial.number <= gone.get(trial.user_attrs["run"], -1))


def replaced(trials: Iterable[FrozenTrial]) -> frozenset[int]:
    """Return the numbers of trials that were deleted before another one ran their point again."""
    return frozenset(number for trial in trials for number in trial.user_attrs.get(REPLACES, ()))


def seconds_in(trials: Iterable[FrozenTrial]) -> dict[str, float]:
    """Return the wall time in seconds of each point that finished in one attempt here, by its key."""
    by_point: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if "point" in trial.user_attrs:
            by_point.setdefault(Point(trial.user_attrs["point"]).key, []).append(trial)
    whole = {key: found[0] for key, found in by_point.items() if len(found) == 1}
    return {
        key: trial.duration.total_seconds()
        for key, trial in whole.items()
        if trial.state == TrialState.COMPLETE and trial.duration and "archive" not in trial.user_attrs
    }


def is_open(states: Iterable[State], had: State) -> bool:
    """Return whether a run of an archive says more about a point than the attempts at it here, of these states."""
    return not any(state in (*DONE, "running", had) for state in states)


def state_of(trial: FrozenTrial) -> State:
    """Return the state of an attempt. `missing` is none at all."""
    match trial.state:
        case TrialState.WAITING:
            return "waiting"
        case TrialState.RUNNING:
            return "running" if "point" in trial.user_attrs else "missing"
        case _ if "point" not in trial.user_attrs:
            return "missing"
        case _:  # an attempt without an outcome: its controller was killed
            return trial.user_attrs.get("outcome", INTERRUPTED)["state"]


def is_due(attempts: Sequence[FrozenTrial], *, retry: bool) -> bool:
    """Return whether a point must be run, given the attempts at it so far."""
    states = [state for trial in attempts if (state := state_of(trial)) != "missing"]
    if any(state in (*DONE, "running", "waiting") for state in states):
        return False
    return not states or states[-1] == "interrupted" or retry


def histories_of(trials: Iterable[FrozenTrial]) -> dict[str, list[float]]:
    """Return the metric's values by run. Of several attempts at a point the longest counts, once."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        if run := trial.user_attrs.get("run"):
            values = finite([trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)])
            found[run] = max(found.get(run, []), values, key=len)
    return found
