"""Progress of a sweep: the state of each point, what runs where, and the time left."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from trainer.report.folders import Run
from trainer.report.table import Table
from trainer.runs.groups import SEED
from trainer.runs.history import is_finite
from trainer.runs.private import public
from trainer.sweep.status import DONE, State
from trainer.sweep.time_left import seconds_left
from trainer.sweep.watched import Watched

_TAIL = 65_536  # bytes at the end of metrics.jsonl, which have its last row

Now = State | Literal["at chance"]
FAILED: tuple[Now, ...] = ("crashed", "diverged", "at chance")


_BEST_LAST: tuple[Now, ...] = get_args(State)[::-1]
"""A point has the state of its best attempt, as by a ledger."""


@dataclass(frozen=True)
class Seen:
    """A point of the sweep, and how far it is."""

    label: str  # of its configuration
    seed: int | None
    state: Now
    run: str = ""  # name of its folder; empty if none was begun
    value: float | None = None  # of the sweep's metric, as a summary has it
    why: str = ""  # it failed


@dataclass(frozen=True)
class Running:
    """A run that is being trained. Times are those of this machine."""

    seen: Seen
    where: str  # its device, and its machine on a cluster
    epoch: float  # reached, 0 in the beginning
    epochs: float | None  # to train, None if that is not known yet
    seconds: float | None  # of training so far
    began: str
    last: str  # when it has written its last row
    run: Run | None  # None while it starts


@dataclass(frozen=True)
class Progress:
    points: tuple[Seen, ...]
    total: int  # those that a search still has to propose included
    running: tuple[Running, ...]
    seconds_left: float | None  # None if nothing runs, or before the first epoch has ended

    def count(self, *states: Now) -> int:
        return sum(point.state in states for point in self.points)

    @property
    def waiting(self) -> int:
        """Return the number of points that are still to run."""
        return self.total - self.count(*DONE, *FAILED, "running")


def progress_of(table: Table, watched: Watched | None) -> Progress:
    """Return the progress by the ledger of the sweep, or by its run folders if it has none."""
    points = [*(_by_ledger(watched) if watched else _by_folders(table))]
    why = {problem.where: problem.message for problem in table.problems if problem.kind == "at chance"}
    at_chance = {run.name: run for each in table.configurations for run in each.failed if run.status == "finished"}
    points = [
        replace(point, state="at chance", why=why.get(str(at_chance[point.run].history.folder), ""))
        if point.run in at_chance and point.state == "finished"
        else replace(point, why=str(public(point.why)))
        for point in points
    ]
    total = max(len(points), watched.progress.total if watched else table.expected or 0)
    runs = {run.name: run for run in table.unfinished}
    running = tuple(_running(point, table.folder, runs.get(point.run)) for point in points if point.state == "running")
    found = Progress(tuple(points), total, running, None)
    return replace(found, seconds_left=_seconds_left(found, _seconds_a_point(table, watched, running)))


def _by_ledger(watched: Watched) -> Iterator[Seen]:
    keys = [key for key in watched.progress.varied if key != SEED]
    for status in watched.progress.points:
        best = status.attempts[0] if status.attempts else None
        run, why = (best.where, best.message) if best and status.state != "waiting" else ("", "")
        if best and best.archive:
            run = Path(run).name  # as the report has it
        seed = status.point.values.get(SEED)
        name = status.point.label(keys) or "all"
        yield Seen(name, seed, status.state, run, best.value if best else None, why)


def _by_folders(table: Table) -> Iterator[Seen]:
    """Yield the points that the sweep's file plans, and all other runs. Of several runs of a point it is the best."""
    names = {run.name: table.label_of(run) for run in table.unfinished}
    for each in table.configurations:
        others = [run for run in table.unfinished if names[run.name] == each.label]
        attempts = sorted([*others, *each.failed, *each.runs], key=lambda run: _BEST_LAST.index(_state_of(run)))
        runs = {run.seed: run for run in attempts}
        for seed in dict.fromkeys([*each.planned, *runs]):
            run = runs.get(seed)
            state = _state_of(run) if run else "missing"
            why = str(run.history.summary.get("reason") or "") if run else ""
            value = run.history.summary.get(table.metric) if run else None
            yield Seen(each.label, seed, state, run.name if run else "", value, why)


def _state_of(run: Run) -> Now:
    match run.status:
        case "finished" | "stopped" | "running" | "interrupted" | "diverged" as state:
            return state
        case _:
            return "crashed"


def _running(seen: Seen, home: Path, run: Run | None) -> Running:
    folder = home / seen.run
    row = _last_row(folder / "metrics.jsonl")
    epoch, seconds = row.get("epoch"), row.get("time/train_seconds")
    origin: Mapping[str, Any] = run.provenance if run else {}
    epochs = run.config.get("train.epochs") if run else None
    return Running(
        seen,
        _where(folder, origin),
        float(epoch) if isinstance(epoch, int | float) else 0.0,
        epochs if is_finite(epochs) and epochs > 0 else None,
        float(seconds) if isinstance(seconds, int | float) else None,
        _clock(origin.get("started")),
        _clock_of(folder / "metrics.jsonl"),
        run,
    )


def _where(folder: Path, origin: Mapping[str, Any]) -> str:
    """Return `cpu`, or `NVIDIA H200 on node7`. The name of a cluster's node is not among what is public."""
    device = str(origin.get("device") or "starting")
    try:
        node = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("node")
    except (OSError, ValueError, AttributeError):
        node = None
    name = node.get("name") if isinstance(node, dict) else None
    return f"{device} on {name}" if name else device


def _last_row(path: Path) -> dict[str, Any]:
    """Return the last whole row of metrics.jsonl, empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return {}
    for line in reversed(lines[:-1]):  # what follows the last line break is being written
        try:
            row = json.loads(line)
        except ValueError:
            return {}
        return row if isinstance(row, dict) else {}
    return {}


def _clock(moment: Any) -> str:
    try:
        return datetime.datetime.fromisoformat(str(moment)).astimezone().strftime("%b %d %H:%M:%S")
    except ValueError:
        return "-"


def _clock_of(path: Path) -> str:
    try:
        return datetime.datetime.fromtimestamp(path.stat().st_mtime).strftime("%b %d %H:%M:%S")
    except OSError:
        return "-"


def _seconds_a_point(table: Table, watched: Watched | None, running: Iterable[Running]) -> float | None:
    """Return the mean time of a run: of those that ended, or else what the running ones come to at their pace."""
    ended: Sequence[float] = [*watched.seconds.values()] if watched else []
    if not ended and (known := [run.values["seconds_total"] for run in table.runs if "seconds_total" in run.values]):
        ended = known
    if not ended:
        ended = [each.seconds / each.epoch * each.epochs for each in running
                 if each.seconds and each.epoch and each.epochs]  # fmt: skip
    return fmean(ended) if ended else None


def _seconds_left(progress: Progress, each: float | None) -> float | None:
    """Return the time until the last point has ended, if as many run at once as now."""
    if each is None or not progress.running:
        return None
    shares = [1 - min(1.0, run.epoch / run.epochs) if run.epochs else 1.0 for run in progress.running]
    return seconds_left(each, shares, progress.waiting, len(shares))


def counts_of(progress: Progress) -> list[tuple[str, int]]:
    """Return how many points are done, have failed, run, were interrupted, and wait."""
    states = Counter(point.state for point in progress.points)
    interrupted = states["interrupted"]
    return [
        ("done", progress.count(*DONE)),
        ("failed", progress.count(*FAILED)),
        ("running", states["running"]),
        ("interrupted", interrupted),
        ("waiting", progress.waiting - interrupted),
    ]
