"""Result of a run: what reports and archives keep of its folder. `history` reads all of its rows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from trainer.errors import CheckpointError, UserError
from trainer.files import parse_json
from trainer.runs.history import History, read_history
from trainer.runs.outcomes import DECADES, STANDARD, Outcome, Trace, traces_of

Note = tuple[Literal["unreadable", "truncated"], str]
"""A part of a run folder that could not be read: (kind, message)."""

CURVES = ("epoch", "step", "train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy",
          "optimizer/lr", "time/train_seconds")  # fmt: skip
"""Keys of the rows of epochs' ends that are kept."""
_ENDS_AN_EPOCH = ("train/accuracy", "val/accuracy", "test/accuracy")


@dataclass(frozen=True)
class Result:
    """A readable run without what only its training needed."""

    history: History  # with the rows of epochs' ends only, and of these the keys in CURVES
    measures: Mapping[
        str, float
    ]  # over all rows: `gradient_cosine` is a mean, `lipschitz` a maximum, and the outcomes of a run
    provenance: Mapping[str, Any]  # run.json, empty if it cannot be read
    notes: tuple[Note, ...] = ()
    traces: Mapping[str, Trace] = field(default_factory=dict[str, Trace])  # what probes measured

    @property
    def name(self) -> str:
        return self.history.name

    @property
    def config(self) -> Mapping[str, Any]:
        return self.history.config

    @property
    def seed(self) -> int:
        return self.history.seed

    @property
    def status(self) -> str:
        """Return how the run ended. A killed run is still `running`."""
        return str(self.history.summary.get("status") or self.provenance.get("status") or "failed")

    @property
    def started(self) -> str:
        """Return when the run began, ISO 8601, or "" if it is not known."""
        return str(self.provenance.get("started") or "")

    def answers(self, outcome: Outcome | None) -> bool:
        """Return whether the run measured what an outcome is read from. Probes do, which enter no hash of a config.

        What does not come from probes follows from the config: a run without it would not have it the next time. A run
        that diverged is in no mean, so it needs none of its own, but a band over rates has its steps until then.
        """
        if outcome is None or outcome.of_summary or outcome.over_lengths or outcome.name == DECADES:
            return True
        if self.status == "diverged" and not outcome.over_rates:
            return True
        return outcome.was_measured(self.traces) or outcome.name in self.measures


def numbers_of(history: History) -> list[dict[str, Any]]:
    """Return the rows without times. The same run, done again on the same machine, has the same ones."""
    return [{key: row[key] for key in row if not key.startswith("time/")} for row in history.rows]


def same_numbers(one: History, other: History) -> bool:
    """Return whether two runs have the same rows, times apart, and the same mistakes."""
    return numbers_of(one) == numbers_of(other) and one.confusion == other.confusion


def read_result(folder: Path) -> Result:
    """Return the result of a run folder. Raises CheckpointError with one line if it cannot be read."""
    try:
        history = read_history(folder)
    except UserError as error:
        raise CheckpointError(error.problems[0]) from error
    provenance, notes = _provenance(folder / "run.json")
    kept = [
        {key: row[key] for key in CURVES if row.get(key) is not None} for row in history.rows if _ends_an_epoch(row)
    ]
    notes += _cut(folder / "metrics.jsonl", len(history.rows))
    traces = traces_of(history.rows)
    measures = dict(_measures(history.rows, traces))
    return Result(replace(history, rows=kept), measures, provenance, tuple(notes), traces)


def origin_text(provenance: Mapping[str, Any]) -> str:
    """Return where a run comes from, in a phrase: `started 2026-11-28T12:07:15+00:00, revision d593140, H100`."""
    git, versions = provenance.get("git"), provenance.get("versions")
    revision = str(git.get("revision", ""))[:7] if isinstance(git, Mapping) else ""
    torch = versions.get("torch", "") if isinstance(versions, Mapping) else ""
    named = {
        "started": provenance.get("started"),
        "revision": revision,
        "torch": torch,
        "on": provenance.get("device"),
        "in": provenance.get("precision"),
    }
    return ", ".join(f"{what} {value}" for what, value in named.items() if value) or "of unknown origin"


def strictly(text: str) -> Any:
    """Return JSON. Raises ValueError for numbers that JSON does not have, such as NaN or 1e999."""
    return parse_json(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _refuse(text)


def _ends_an_epoch(row: Mapping[str, Any]) -> bool:
    return any(row.get(key) is not None for key in _ENDS_AN_EPOCH)


def _measures(rows: list[dict[str, Any]], traces: Mapping[str, Trace]) -> Iterator[tuple[str, float]]:
    for name, key, over in (("gradient_cosine", "runs/grad_cosine", fmean), ("lipschitz", "runs/lipschitz", max)):
        if values := [row[key] for row in rows if row.get(key) is not None]:
            yield name, over(values)
    for name in STANDARD:
        outcome = Outcome(name)
        if not outcome.over_rates and (value := outcome.of_run(traces)) is not None:
            yield name, value


def _provenance(path: Path) -> tuple[dict[str, Any], list[Note]]:
    """Return (run.json, its problems). A run counts without it, because it has none of the figures."""
    try:
        content = strictly(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [("unreadable", f"run.json: {error}; the run counts, but its code and machine are unknown")]
    return (content, []) if isinstance(content, dict) else ({}, [("unreadable", "run.json: expected a JSON object")])


def _cut(path: Path, read: int) -> Iterator[Note]:
    if path.exists() and (lines := len(path.read_bytes().splitlines())) > read:
        yield (
            "truncated",
            f"metrics.jsonl: line {read + 1} of {lines} is not JSON; it and the lines after it are left out",
        )
