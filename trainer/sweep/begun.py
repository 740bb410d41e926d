"""The beginning of a sweep, as its database remembers it."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna import Study

from trainer.config.overrides import flatten, read_overrides
from trainer.errors import SweepError
from trainer.runs.groups import identity
from trainer.sweep.file import Sweep
from trainer.sweep.storage import Database, quiet
from trainer.sweep.trials import attempts_in

OF_ALL = "seeds of all"
OVERRIDES = "words"
"""Name of the overrides in every ledger.db so far: a sweep that was begun earlier is still continued."""


@dataclass(frozen=True)
class Begun:
    """The beginning of a sweep."""

    overrides: tuple[str, ...]  # of every point
    seeds: tuple[int, ...]  # that were asked for, or may be needed until it is decided, besides the file's
    decided: frozenset[str] | None = None  # keys of the points that were begun, if some were, until it is decided


def begun_with(sweep: Sweep, folder: Path, storage: str | None) -> Begun | None:
    """Return how a sweep was begun, or None if it was not. Raises SweepError if its database cannot be opened."""
    if storage is None and not (folder / "ledger.db").exists():
        return None
    database = Database(folder, storage, sweep.name)
    with contextlib.closing(database), quiet(), contextlib.suppress(KeyError):  # such as one without this study
        study = optuna.load_study(study_name=sweep.name, storage=database.storage)
        known = study.user_attrs
        if "definition" in known:  # else it was killed in its first moment
            trials = study.get_trials(deepcopy=False) if "decided" in known else ()
            begun = frozenset(attempt.point.key for attempt in attempts_in(trials, database.is_dead))
            # In the order of the looks, before others. A sweep that was killed before its first point needs none.
            looked = known.get("design", {}).get("seeds", ()) if begun else ()
            words, seeds = known["definition"][OVERRIDES], dict.fromkeys([*looked, *known.get("seeds", ())])
            return Begun(tuple(words), tuple(seeds), begun or None)
    return None


def note_seeds(study: Study, seeds: Sequence[int], *, of_all: bool) -> None:
    """Remember seeds that were asked for besides the file's, and whether every configuration is to have them."""
    for name in ("seeds", OF_ALL) if of_all else ("seeds",):
        known: list[int] = study.user_attrs.get(name, [])
        if more := [seed for seed in seeds if seed not in known]:
            study.set_user_attr(name, [*known, *more])


def note_design(study: Study, database: Database, design: Mapping[str, Any], said: str) -> None:
    """Remember the design of a sequential sweep, also as its file says it.

    Raises SweepError for another one than it was begun with.
    """
    begun = study.user_attrs.get("design", {})
    for key, asked in design.items():
        if begun.get(key, asked) != asked:
            raise SweepError(
                f"{database.where}: was begun {_change(key, begun[key], asked)}; a design that changes errs more often;"
                f" {database.another}"
            )
    if design != begun:
        study.set_user_attr("design", dict(design))
        study.set_user_attr("decided", said)


def _change(key: str, before: Any, asked: Any) -> str:
    if not isinstance(before, list):
        return f"with {key} {before}, not {asked}"
    lost, new = ([each for each in one if each not in other] for one, other in ((before, asked), (asked, before)))
    parts = [f"{word} {key} {_listed(found)}" for word, found in (("with", lost), ("without", new)) if found]
    return " and ".join(parts) or f"with {key} {_listed(before)}, in this order"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def check_definition(study: Study, sweep: Sweep, database: Database, overrides: Sequence[str]) -> None:
    """Remember what a study asks. Raises SweepError if it was begun with other overrides or as another search."""
    file = sweep.file
    metric = [file.metric.name, file.metric.goal] if file.metric else None
    asked = {OVERRIDES: list(overrides), "method": file.method, "metric": metric}
    if file.method != "grid":  # a search over another space is another search
        asked |= {"run_cap": file.run_cap, "parameters": json.loads(json.dumps(file.parameters))}
        asked |= {"seeds per point": sweep.seeds_per_point}
    begun = study.user_attrs.get("definition")
    if begun and _settings(begun[OVERRIDES]) == _settings(overrides):  # their order is no matter
        asked[OVERRIDES] = begun[OVERRIDES]
    if begun and file.method != "grid":  # an earlier one does not say it
        begun = {"seeds per point": 1} | begun
    if begun is None or (begun | {"run_cap": asked.get("run_cap")} == asked and _more(asked, begun)):
        study.set_user_attr("definition", asked)
    elif differing := [key for key in asked if begun.get(key) != asked[key]]:
        called = {OVERRIDES: "overrides"}
        more = "a larger run_cap asks for more points; " if differing == ["run_cap"] else ""
        raise SweepError(*(
            f"{database.where}: was begun with {called.get(key, key)} {begun.get(key)!r}, not {asked[key]!r}; "
            f"{more}{database.another}"
            for key in differing
        ))  # fmt: skip


def _settings(overrides: Sequence[str]) -> str:
    return identity(flatten(read_overrides(overrides)))


def _more(asked: Mapping[str, Any], begun: Mapping[str, Any]) -> bool:
    return (asked.get("run_cap") or 0) > (begun.get("run_cap") or 0)
