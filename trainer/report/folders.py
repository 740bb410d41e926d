"""Runs as a report needs them: measures, curves by epoch, and problems."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from trainer.config.overrides import flatten, read_overrides
from trainer.errors import CheckpointError, ConfigError
from trainer.files import disk_errors
from trainer.runs.chance import tests_of
from trainer.runs.history import History, is_finite
from trainer.runs.outcomes import EPOCHS, SUMMARY, Outcome, Trace
from trainer.runs.results import Result, read_result
from trainer.sweep.command import read_command

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
    "cut short",
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

    result: Result
    overrides: Mapping[str, Any]  # flat, from its command, which alone names a recipe
    values: Mapping[str, float]  # by measure, without what was not logged or not finite

    @property
    def history(self) -> History:
        """Return its config and results, with the rows of epochs' ends only."""
        return self.result.history

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def config(self) -> Mapping[str, Any]:
        return self.result.config

    @property
    def seed(self) -> int:
        return self.result.seed

    @property
    def status(self) -> str:
        """Return how it ended: finished, diverged, ..."""
        return self.result.status

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.result.provenance

    @property
    def cut_short(self) -> bool:
        """Return whether it finished before its `train.epochs`, as early stopping or a limit of time ends a run."""
        asked, trained = self.config.get(EPOCHS), self.history.summary.get("epoch")
        return is_finite(asked) and is_finite(trained) and trained < asked * (1 - _ROUNDING)

    @property
    def traces(self) -> Mapping[str, Trace]:
        """Return what probes measured, by key."""
        return self.result.traces

    @property
    def chance(self) -> tuple[int, int] | None:
        """Return (test images, classes), or None if the run does not tell them."""
        return tests_of(self.history)

    def measure(self, name: str) -> float | None:
        """Return a value by its name, or None.

        `test_acc_at 25` is the test accuracy after epoch 25. `excess_confusion cat dog` is the number of test images of
        either class taken for the other, minus that of the most confused other pair. `runs/grad_cosine/mean` and others
        with a slash are outcomes, see `trainer.runs.outcomes`.
        """
        if name in SUMMARY:
            value = self.history.summary.get(name)
            return None if not is_finite(value) else percent(value) if "accuracy" in name else value
        if "/" in name:
            found = Outcome(name).of_run(self.traces)
            return self.values.get(name) if found is None else found  # an archive has few traces
        match name.split():
            case ["test_acc_at", epoch]:
                reached = [accuracy for at, accuracy in _tested(self.history) if at == float(epoch)]
                return reached[-1] if reached else None
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
_ROUNDING = 1e-6  # of an accuracy in percent, far less than an image, and of epochs, far less than a step


def run_folders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that a run has begun to write, broken ones too, each once. Raises DiskError."""
    found: dict[tuple[int, int], Path] = {}
    with disk_errors(folder, "cannot be read"):
        for each in sorted(folder.iterdir(), key=lambda each: (each.is_symlink(), each)):  # `latest` is found already
            if not each.name.startswith(".") and each.is_dir() and _is_begun(each):  # .NAME is half of a copy
                status = each.stat()
                found.setdefault((status.st_dev, status.st_ino), each)
    return sorted(found.values())


_MARKS = ("config.yaml", "run.json", "metrics.jsonl", "summary.json", "checkpoint.pt", ".lock")


def _is_begun(folder: Path) -> bool:
    try:
        return any((folder / mark).exists() for mark in _MARKS)
    except PermissionError:  # reading it says so
        return True


Read = Callable[[Path], Result]
"""Reads a run folder. Raises CheckpointError if it cannot."""


def read_results(folders: Iterable[Path], read: Read = read_result) -> tuple[list[Result], list[Problem]]:
    """Return (the results of those run folders that can be read, why the others cannot)."""
    results: list[Result] = []
    problems: list[Problem] = []
    for folder in folders:
        try:
            results.append(read(folder))
        except CheckpointError as error:
            reason = error.problems[0].removeprefix(str(folder)).lstrip("/: ")
            problems.append(Problem("unreadable", str(folder), reason))
    return results, problems


def runs_of(results: Iterable[Result], *, metric: str) -> tuple[list[Run], list[Problem]]:
    """Return (the runs as a table needs them, their problems)."""
    runs: list[Run] = []
    problems: list[Problem] = []
    for result in results:
        run, wrong = _run_of(result, metric)
        runs.append(run)
        problems += wrong
    return runs, problems


def _run_of(result: Result, metric: str) -> tuple[Run, list[Problem]]:
    values, odd = _values(result, metric)
    run = Run(result, _overrides(result.provenance.get("command")), values)
    where = str(run.history.folder)
    if run.status != "finished":
        odd = []  # the status is problem enough
    wrong = [Problem(kind, where, message) for kind, message in result.notes if kind == "unreadable"]
    if (
        run.status == "finished"
        and "metric" not in values
        and not any(said.startswith(f"{metric} is ") for said in odd)
    ):
        odd = [*odd, "finished without the metric of the sweep"]
    wrong += [*_state(run), *(Problem("not a number", where, said) for said in odd)]
    wrong += [Problem(kind, where, message) for kind, message in result.notes if kind == "truncated"]
    return run, wrong


def _values(result: Result, metric: str) -> tuple[dict[str, float], list[str]]:
    """Return (measures, the keys of the summary whose value is not a finite number)."""
    summary = result.history.summary
    values: dict[str, float] = {}
    usable: dict[str, float] = {}
    odd: list[str] = []
    for key in dict.fromkeys([*_PERCENT.values(), *_PLAIN.values(), metric]):
        value = summary.get(key)
        if is_finite(value):
            usable[key] = value
        elif key in summary:
            odd.append(f"{key} is {'null' if value is None else value}")
    values |= {name: percent(usable[key]) for name, key in _PERCENT.items() if key in usable}
    values |= {name: usable[key] for name, key in _PLAIN.items() if key in usable}
    values |= {key: percent(summary[key]) for key in summary if is_second_test(key) and is_finite(summary[key])}
    if metric in usable:
        values["metric"] = percent(usable[metric]) if "accuracy" in metric else usable[metric]
    if "seconds_total" in values and summary.get("epoch"):
        values["seconds_per_epoch"] = values["seconds_total"] / summary["epoch"]
    if "params" in values:
        values["size_mb"] = values["params"] * 4 / 2**20
    if "train_acc" in values and "test_acc" in values:
        values["gap_points"] = values["train_acc"] - values["test_acc"]
    values |= result.measures
    if (converged := _convergence(_tested(result.history))) is not None:
        values["convergence_epochs"] = converged
    return values, odd


def is_second_test(key: str) -> bool:
    """Return whether a key or measure is the accuracy of a second test set: `also/NAME/accuracy`."""
    return key.startswith("also/") and key.endswith("/accuracy") and key.count("/") == 2


def percent(fraction: float) -> float:
    """Return a fraction in percent, without the last bits of the product."""
    return round(100 * fraction, 8)  # else 0.3952 becomes 39.519999999999996


def _tested(history: History) -> list[tuple[float, float]]:
    """Return (epoch, test accuracy in percent) of the rows. If an epoch was restored, the last row is of that one."""
    found = [(row["epoch"], percent(row["test/accuracy"])) for row in history.having("test/accuracy")]
    if found and is_finite(restored := history.summary.get("restored_epoch")):
        found[-1] = (restored, found[-1][1])
    return found


def _convergence(tested: Sequence[tuple[float, float]]) -> float | None:
    """Return the first epoch whose test accuracy is within a point of the run's best, None for fewer than three epochs.

    No report defines it, so this is our definition.
    """
    if len(tested) < 3:
        return None
    border = max(accuracy for _, accuracy in tested) - _CONVERGED_WITHIN
    return next(epoch for epoch, accuracy in tested if accuracy >= border - _ROUNDING)


def _state(run: Run) -> Iterator[Problem]:
    """Yield why a run did not finish. A killed run still has the status `running`."""
    last = run.history.rows[-1]["epoch"] if run.history.rows else 0
    where = str(run.history.folder)
    match run.status:
        case "finished":
            return
        case "running":
            yield Problem("running", where, f"at epoch {last:g}, or killed there, because it has no summary")
        case "stopped":
            yield Problem("stopped", where, f"stopped early by its sweep, after epoch {last:g}")
        case "diverged":
            why = run.history.summary.get("reason") or "the loss became infinite or NaN"
            yield Problem("diverged", where, f"{why}, after epoch {last:g}")
        case "interrupted":
            yield Problem(
                "interrupted", where, f"after epoch {last:g}; `trainer train --resume` continues it where its folder is"
            )
        case other:
            yield Problem("failed", where, f"{other}, after epoch {last:g}")


def _overrides(command: Any) -> dict[str, Any]:
    """Return the settings of a command line, as overrides or as flags."""
    try:
        return flatten(read_overrides(read_command(shlex.split(str(command or ""))).overrides))
    except (ValueError, ConfigError):
        return {}
