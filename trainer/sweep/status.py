"""Progress of a sweep: its points and the runs of them, whoever ran them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any, Literal, get_args

from trainer.config.overrides import flatten, read_overrides
from trainer.runs.chance import TestSet, at_guessing, tests_named
from trainer.runs.groups import SEED
from trainer.sweep.file import Metric, Sweep
from trainer.sweep.points import Point
from trainer.text import spread, table

JUDGED = "test/accuracy"
"""The metric whose runs may be at chance."""
State = Literal["finished", "stopped", "running", "waiting", "interrupted", "diverged", "crashed", "missing"]
"""Best first. stopped: ended early by the sweep itself. missing: no run was begun, or its record is gone."""
DONE: tuple[State, ...] = ("finished", "stopped")
"""States of a point that need not be run again."""
ENDED: tuple[State, ...] = (*DONE, "diverged", "crashed")


@dataclass(frozen=True)
class Attempt:
    """One run of a point."""

    point: Point
    state: State
    value: float | None  # of the sweep's metric
    where: str  # run folder, or W&B run id
    message: str = ""  # why it failed
    archive: str = ""  # that has this run, if it was not run here
    tests: TestSet | None = None  # of the run, if it told


@dataclass(frozen=True)
class PointStatus:
    point: Point
    attempts: tuple[Attempt, ...]  # best first

    @property
    def state(self) -> State:
        return self.attempts[0].state if self.attempts else "missing"

    @property
    def value(self) -> float | None:
        return self.attempts[0].value if self.state in DONE else None

    @property
    def duplicated(self) -> bool:
        """Return whether it was finished more than once."""
        return sum(attempt.state == "finished" for attempt in self.attempts) > 1


@dataclass(frozen=True)
class Progress:
    """All points of a sweep, and points with runs that are no longer in the file."""

    varied: list[str]
    metric: Metric | None
    points: tuple[PointStatus, ...]
    foreign: tuple[PointStatus, ...]
    total: int  # number of points, those that a search still has to propose included
    means: bool = False  # are what a search goes by
    fixed: Mapping[str, Any] = field(default_factory=dict)  # what the file's command sets at every point

    def count(self, *states: State) -> int:
        return sum(status.state in states for status in self.points)

    @property
    def complete(self) -> bool:
        return self.count(*DONE) >= self.total

    @property
    def archives(self) -> dict[str, int]:
        """Return the number of points that each archive has done."""
        ended = [status.attempts[0] for status in self.points if status.state in DONE]
        return dict(Counter(attempt.archive for attempt in ended if attempt.archive))

    @property
    def best(self) -> PointStatus | None:
        """Return the best finished point by the sweep's metric."""
        ended = [status for status in self.points if status.state == "finished" and status.value is not None]
        if self.metric is None or not ended:
            return None
        pick = max if self.metric.goal == "maximize" else min
        return pick(ended, key=lambda status: status.value or 0.0)

    @property
    def best_mean(self) -> tuple[str, float, int] | None:
        """Return (label, mean, number of seeds) of the best configuration among those with most finished seeds."""
        found = [(label, [status.value for status in group if status.state == "finished" and status.value is not None])
                 for label, group in configurations(self).items()]  # fmt: skip
        most = max((len(values) for _, values in found), default=0)
        means = [(label, fmean(values), most) for label, values in found if most and len(values) == most]
        if self.metric is None or not means:
            return None
        return (max if self.metric.goal == "maximize" else min)(means, key=lambda each: each[1])

    @cached_property
    def at_chance(self) -> set[str]:
        """Return the keys of the points whose run finished at chance, by the rule of a report. Empty for other metrics.

        A run that does not tell its test set has that of `data.name`, of the point or of the command.
        """
        if self.metric is None or self.metric.name != JUDGED:
            return set()
        return at_guessing(
            {
                status.point.key: (status.value, tests)
                for status in self.points
                if status.state == "finished" and status.value is not None and (tests := self._tests_of(status))
            }
        )

    def _tests_of(self, status: PointStatus) -> TestSet | None:
        named = {"data.name": "cifar10", **self.fixed, **status.point.values}["data.name"]
        return status.attempts[0].tests or tests_named(named)

    def as_json(self) -> dict[str, Any]:
        """Return counts, each point with its runs, and what is duplicated or no longer in the file."""
        return {
            "complete": self.complete,
            "total": self.total,
            "states": dict(Counter(status.state for status in self.points)),
            "archives": self.archives,
            "points": [_plain(status) for status in self.points],
            "foreign": [_plain(status) for status in self.foreign],
        }


def progress(points: Sequence[Point], attempts: Sequence[Attempt], *, sweep: Sweep) -> Progress:
    """Return attempts sorted by point, in the order of the file. The points of a search are those it has proposed."""
    all_known = bool(points) or sweep.file.method == "grid"
    points = points or list({attempt.point.key: attempt.point for attempt in attempts}.values())
    order = {state: place for place, state in enumerate(get_args(State))}
    by_key: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: order[attempt.state]):
        by_key.setdefault(attempt.point.key, []).append(attempt)
    known = tuple(PointStatus(point, tuple(by_key.pop(point.key, ()))) for point in points)
    foreign = tuple(PointStatus(found[0].point, tuple(found)) for found in by_key.values())
    total = len(points) if all_known else max(len(points), sweep.cap)  # a space may have fewer points than run_cap
    fixed = flatten(read_overrides(sweep.fixed))
    return Progress(sweep.varied, sweep.file.metric, known, foreign, total, sweep.seeds_per_point > 1, fixed)


def only_begun(progress: Progress, begun: Collection[str] = ()) -> Progress:
    """Return the progress of the points that were begun. The others are seeds that nobody needs until it is decided.

    `begun` has the keys of others, whose run was deleted.
    """
    points = tuple(status for status in progress.points if status.attempts or status.point.key in begun)
    return replace(progress, points=points, total=len(points))


def configurations(progress: Progress) -> dict[str, list[PointStatus]]:
    """Return the points of each configuration by its label, in the file's order."""
    keys = [key for key in progress.varied if key != SEED]
    groups: dict[str, list[PointStatus]] = {}
    for status in progress.points:
        groups.setdefault(status.point.label(keys), []).append(status)
    return groups


def in_unit(values: Sequence[float], metric: str) -> tuple[list[float], int, str]:
    """Return (values, decimals, unit) as a metric is shown: accuracies in percent, two decimals. Others: four."""
    return ([100 * value for value in values], 2, "%") if "accuracy" in metric else (list(values), 4, "")


def _spread(values: Sequence[float], metric: str) -> str:
    shown, digits, unit = in_unit(values, metric)
    return spread(shown, digits=digits, unit=unit)


def rows(progress: Progress) -> list[tuple[str, str, str]]:
    """Return (configuration, mean ± standard deviation (n), states of its points). Runs at chance are in no mean."""
    metric = progress.metric.name if progress.metric else ""
    found: list[tuple[str, str, str]] = []
    lost = progress.at_chance
    for label, group in configurations(progress).items():
        counting = [status for status in group if status.state == "finished" and status.point.key not in lost]
        values = [status.value for status in counting if status.value is not None]
        counts: Mapping[str, int] = Counter(status.state for status in group)
        states = ", ".join(f"{counts[state]} {state}" for state in get_args(State) if state in counts)
        if packed := sum(bool(status.attempts and status.attempts[0].archive) for status in group):
            states += f" ({packed} in an archive)"
        if failed := sum(status.point.key in lost for status in group):
            states += f" ({failed} at chance)"
        found.append((label or "all", _spread(values, metric), states))
    return found


def as_text(progress: Progress) -> str:
    """Return the table, followed by what is wrong."""
    metric = progress.metric.name if progress.metric else "metric"
    lines = [table([("", metric, ""), *rows(progress)])]
    for status in progress.points:
        name = status.point.label(progress.varied)
        if status.state in ("crashed", "diverged", "interrupted"):
            why = f": {status.attempts[0].message}" if status.attempts[0].message else ""
            lines.append(f"{status.state}: {name}, {status.attempts[0].where}{why}")
        if status.duplicated:
            lines.append(f"run {len(status.attempts)} times: {name}, {', '.join(a.where for a in status.attempts)}")
    lines += [f"no longer in the file: {status.point.label(progress.varied)}" for status in progress.foreign]
    lines += [f"from {archive}: {count} points" for archive, count in progress.archives.items()]
    done = progress.count(*DONE)
    if progress.means:  # bad points get fewer seeds
        return "\n".join([*lines, f"{done} of at most {progress.total} runs are done"])
    return "\n".join([*lines, f"{done} of {progress.total} points are done"])


def _plain(status: PointStatus) -> dict[str, Any]:
    return {
        "values": dict(status.point.values),
        "state": status.state,
        "value": status.value,
        "duplicated": status.duplicated,
        "runs": [
            {"state": a.state, "value": a.value, "where": a.where, "message": a.message, "archive": a.archive}
            for a in status.attempts
        ],
    }
