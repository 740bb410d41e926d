"""The state of an attempt at a point, read from an Optuna trial."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from trainer.sweep.points import Entry
from trainer.sweep.status import State

INTERRUPTED: Mapping[str, Any] = {"state": "interrupted"}


def attributes_of(entry: Entry) -> dict[str, Any]:
    """Return an entry as attributes of a trial. A trial with a point has the others too, because of their order."""
    return {"run": entry.run, "config": entry.config, "point": dict(entry.point.values)}


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
    if any(state in ("finished", "stopped", "running", "waiting") for state in states):
        return False
    return not states or states[-1] == "interrupted" or retry
