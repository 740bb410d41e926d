"""Runs as a report needs them: measures, curves by epoch, and problems."""

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from trainer.config.overrides import flatten, read_overrides
from trainer.errors import ConfigError, UserError
from trainer.runs.history import History, is_finite, read_history
from trainer.runs.outcomes import SUMMARY, Outcome, Trace, traces_of

Kind = Literal[
    "missing",
    "running",
    "interrupted",
    "stopped",
    "diverged",
    "at chance",
    "failed",
    "unreadable",
    "truncated",
    "not a number",
    "repeated seed",
    "other settings",
    "not in the sweep",
]


@dataclass(frozen=True)
class Problem:
    """A reason why a run does not count, or is missing. The page lists all of them."""

    kind: Kind
    where: str  # a run folder, or a configuration
    message: str


@dataclass(frozen=True)
class Run:
    """A readable run. Accuracies are in percent."""

    history: History  # with the rows of epochs' ends only
    seed: int
    status: str  # finished, diverged, ...
    overrides: Mapping[str, Any]  # flat, from its command, which alone names a recipe
    values: Mapping[str, float]  # by measure, without what was not logged or not finite
    provenance: Mapping[str, Any]
    traces: Mapping[str, Trace] = field(default_factory=dict[str, Trace])  # what probes measured, by key

    @property
    def name(self) -> str:
        return self.history.name

    @property
    def config(self) -> Mapping[str, Any]:
        return self.history.config

    @property
    def chance(self) -> tuple[int, int] | None:
        """Return (test images, classes), or None if the run does not tell them."""
        if counts := self.history.confusion:
            return sum(map(sum, counts)), len(counts)
        return _TEST_SETS.get(str(self.config.get("data.name")))

    def measure(self, name: str) -> float | None:
        """Return a value by its name, or None.

        `test_acc_at 25` is the test accuracy after epoch 25. `excess_confusion cat dog` is the number of test images of
        either class taken for the other, minus that of the most confused other pair. `runs/grad_cosine/mean` and others
        with a slash are outcomes, see `trainer.runs.outcomes`.
        """
        if name in SUMMARY:
            value = self.history.summary.get(name)
            return None if not is_finite(value) else _percent(value) if "accuracy" in name else value
        if "/" in name:
            return Outcome(name).of_run(self.traces)
        match name.split():
            case ["test_acc_at", epoch]:
                rows = self.history.having("test/accuracy")
                reached = [row["test/accuracy"] for row in rows if row["epoch"] == float(epoch)]
                return _percent(reached[-1]) if reached else None
            case ["excess_confusion", one, other]:
                return _excess_confusion(self.history, frozenset((one, other)))
            case _:
                return self.values.get(name)


def _excess_confusion(history: History, pair: frozenset[str]) -> float | None:
    counts = history.confusion
    mistakes = {
        frozenset((a, b)): counts[i][j] + counts[j][i]
        for (i, a), (j, b) in combinations(enumerate(history.classes), 2)
        if counts
    }
    others = [count for classes, count in mistakes.items() if classes != pair]
    return float(mistakes[pair] - max(others)) if pair in mistakes and others else None


_TEST_SETS = {"cifar10": (10_000, 10), "cifar100": (10_000, 100)}  # images, classes

_CURVES = ("epoch", "step", "train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy",
           "optimizer/lr", "time/train_seconds")  # fmt: skip
_PERCENT = {
    "test_acc": "test/accuracy",
    "best_test_acc": "test/accuracy_best",
    "headline": "headline/accuracy",
    "train_acc": "train/accuracy",
    "val_acc": "val/accuracy",
    "best_val_acc": "val/accuracy_best",
}
_PLAIN = {
    "seconds_total": "time/train_seconds",
    "params": "model/trainable_parameters",
    "peak_bytes": "memory/peak_bytes",
}
_CONVERGED_WITHIN = 1.0  # percentage points


def run_folders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that a run has begun to write, broken ones too."""
    marks = ("config.yaml", "run.json", "metrics.jsonl", "summary.json", "checkpoint.pt", ".lock")
    return sorted(each for each in folder.iterdir() if each.is_dir() and any((each / mark).exists() for mark in marks))


def read_run(folder: Path, *, metric: str) -> tuple[Run | None, list[Problem]]:
    """Return (a run, or None if it cannot be read, its problems). `metric` is what its sweep optimizes."""
    where = str(folder)
    try:
        history = read_history(folder)
    except (UserError, UnicodeDecodeError) as error:
        return None, [Problem("unreadable", where, _reason(error, where))]
    provenance, wrong = _provenance(folder / "run.json")
    rows, summary = history.rows, history.summary
    values, odd = _values(rows, summary, metric)
    slim = [{key: row[key] for key in _CURVES if key in row} for row in rows if _ends_an_epoch(row)]
    run = Run(
        replace(history, rows=slim),
        int(history.config.get("seed") or 0),
        str(summary.get("status") or provenance.get("status") or "failed"),
        _overrides(provenance.get("command")),
        values,
        provenance,
        traces_of(rows),
    )
    if run.status != "finished":
        odd = []  # the status is problem enough
    wrong = [Problem("unreadable", where, each) for each in wrong]
    wrong += [*_state(run, folder), *(Problem("not a number", where, key) for key in odd), *_cut(folder, len(rows))]
    return run, wrong


def _values(rows: list[dict[str, Any]], summary: Mapping[str, Any], metric: str) -> tuple[dict[str, float], list[str]]:
    """Return (measures, the keys of the summary whose value is not a finite number)."""
    values: dict[str, float] = {}
    usable: dict[str, float] = {}
    odd: list[str] = []
    for key in dict.fromkeys([*_PERCENT.values(), *_PLAIN.values(), metric]):
        value = summary.get(key)
        if is_finite(value):
            usable[key] = value
        elif key in summary:
            odd.append(f"{key} is {'null' if value is None else value}")
    values |= {name: _percent(usable[key]) for name, key in _PERCENT.items() if key in usable}
    values |= {name: usable[key] for name, key in _PLAIN.items() if key in usable}
    if metric in usable:
        values["metric"] = _percent(usable[metric]) if "accuracy" in metric else usable[metric]
    if "seconds_total" in values and summary.get("epoch"):
        values["seconds_per_epoch"] = values["seconds_total"] / summary["epoch"]
    if "params" in values:
        values["size_mb"] = values["params"] * 4 / 2**20
    if "train_acc" in values and "test_acc" in values:
        values["gap_points"] = values["train_acc"] - values["test_acc"]
    cosines, ratios = ([row[key] for row in rows if row.get(key) is not None] for key in _GRADIENTS)
    if cosines:
        values["gradient_cosine"] = fmean(cosines)
    if ratios:
        values["lipschitz"] = max(ratios)
    if (converged := _convergence(rows)) is not None:
        values["convergence_epochs"] = converged
    return values, odd


_GRADIENTS = ("runs/grad_cosine", "runs/lipschitz")


def _percent(fraction: float) -> float:
    return round(100 * fraction, 8)  # else 0.3952 becomes 39.519999999999996


def _convergence(rows: list[dict[str, Any]]) -> float | None:
    """Return the first epoch whose test accuracy is within a point of the run's best, None for fewer than three epochs.

    No report defines it, so this is our definition.
    """
    tested = [(row["epoch"], 100 * row["test/accuracy"]) for row in rows if row.get("test/accuracy") is not None]
    if len(tested) < 3:
        return None
    best = max(accuracy for _, accuracy in tested)
    return next(epoch for epoch, accuracy in tested if accuracy >= best - _CONVERGED_WITHIN)


def _ends_an_epoch(row: Mapping[str, Any]) -> bool:
    return any(row.get(key) is not None for key in ("train/accuracy", "val/accuracy", "test/accuracy"))


def _state(run: Run, folder: Path) -> Iterator[Problem]:
    """Yield why a run did not finish. A killed run still has the status `running`."""
    last = run.history.rows[-1]["epoch"] if run.history.rows else 0
    where = str(folder)
    match run.status:
        case "finished":
            if "metric" not in run.values:
                yield Problem("not a number", where, "finished without the metric of the sweep")
        case "running":
            yield Problem("running", where, f"at epoch {last:g}, or killed there, because it has no summary")
        case "stopped":
            yield Problem("stopped", where, f"stopped early by its sweep, after epoch {last:g}")
        case "diverged":
            why = run.history.summary.get("reason") or "the loss became infinite or NaN"
            yield Problem("diverged", where, f"{why}, after epoch {last:g}")
        case "interrupted":
            yield Problem("interrupted", where, f"after epoch {last:g}; continue it with `trainer train --resume`")
        case other:
            yield Problem("failed", where, f"{other}, after epoch {last:g}")


def _cut(folder: Path, read: int) -> Iterator[Problem]:
    path = folder / "metrics.jsonl"
    if path.exists() and (lines := len(path.read_bytes().splitlines())) > read:
        message = f"metrics.jsonl: line {read + 1} of {lines} is not JSON; it and the lines after it are left out"
        yield Problem("truncated", str(folder), message)


def _overrides(command: Any) -> dict[str, Any]:
    """Return the `KEY=VALUE` settings of a command line."""
    try:
        parts = [part.removeprefix("--") for part in shlex.split(str(command or ""))]
        return flatten(read_overrides(part for part in parts if "=" in part and part.partition("=")[0][:1].isalpha()))
    except (ValueError, ConfigError):
        return {}


def _provenance(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return (run.json, its problems). A run counts without it, because it has none of the figures."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse, parse_float=_finite)
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [f"run.json: {error}; the run counts, but its code and machine are unknown"]
    return (content, []) if isinstance(content, dict) else ({}, ["run.json: expected a JSON object"])


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _refuse(text)


def _reason(error: Exception, where: str) -> str:
    said = error.problems[0] if isinstance(error, UserError) else "not UTF-8 text"
    return said.removeprefix(where).lstrip("/: ")
