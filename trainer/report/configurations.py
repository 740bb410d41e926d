"""Points of a table: runs put together by what they share apart from the seed."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer.report.folders import Problem, Run
from trainer.sweep.file import Sweep
from trainer.sweep.points import points_of
from trainer.sweep.space import canonical

_FREE = ("seed", "sink.", "probe.", "data.root", "data.download", "train.device", "train.log_every",
         "train.checkpoint_every", "train.keep_best", "train.eval_batch_size")  # fmt: skip
"""Keys that leave a run's numbers what they are: the first is what a point's runs differ in."""

Values = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Point:
    label: str
    values: Mapping[str, Any]  # of the keys that tell the points apart
    config: Mapping[str, Any]  # flat; of a point without runs what the sweep's file makes of it
    runs: tuple[Run, ...]  # that finished, one a seed

    def sample(self, measure: str = "metric") -> Values:
        return {run.seed: value for run in self.runs if (value := run.measure(measure)) is not None}


def sweep_points(sweep: Sweep, varied: list[str], runs: list[Run]) -> tuple[list[Point], list[Problem], int | None]:
    """The file's points in its order with all runs of each, those of other points after them; what is missing; how
    many runs there are to be. A search is its runs."""
    grid = points_of(sweep) if sweep.file.method == "grid" else []
    groups: dict[str, Point] = {}
    seeds: dict[str, list[int]] = {}
    for point in grid:
        values = {key: point.values[key] for key in varied}
        groups.setdefault(key_of(values), Point(label_of(values) or "all", values, {}, ()))
        seeds.setdefault(key_of(values), []).append(int(point.values.get("seed", 0)))
    problems: list[Problem] = []
    for run in runs:
        values = {key: run.config.get(key, run.words.get(key)) for key in varied}
        key = key_of(values)
        if grid and key not in seeds:
            problems.append(Problem("not in the sweep", str(run.history.folder), f"its point is {label_of(values)}"))
        groups.setdefault(key, Point(label_of(values) or "all", values, {}, ()))
        groups[key] = replace(groups[key], runs=(*groups[key].runs, run))
    for key, asked in seeds.items():
        there = {run.seed for run in groups[key].runs}
        if missing := [str(seed) for seed in asked if seed not in there]:
            problems.append(
                Problem("missing", groups[key].label, f"seed{'s' * (len(missing) > 1)} {', '.join(missing)}")
            )
    expected = len(grid) or sweep.file.run_cap
    if not grid and expected and len(runs) < expected:
        problems.append(Problem("missing", sweep.name, f"{expected - len(runs)} of {expected} runs of the search"))
    return list(groups.values()), problems, expected


def grouped(runs: list[Run], keys: list[str]) -> list[Point]:
    groups: dict[str, Point] = {}
    for run in runs:
        values = {key: run.config.get(key) for key in keys}
        point = groups.setdefault(key_of(values), Point(label_of(values) or "all", values, {}, ()))
        groups[key_of(values)] = replace(point, runs=(*point.runs, run))
    return list(groups.values())


def settled(points: Iterable[Point]) -> tuple[list[Point], list[Run], list[Problem]]:
    """(points whose runs are finished, of one config, a seed each; the runs that do not count; why). A point whose runs
    have several configs becomes as many points, the commonest first."""
    settled, split = list[Point](), list[Point]()
    aside, problems = list[Run](), list[Problem]()
    for point in points:
        by_config: dict[str, list[Run]] = {}
        for run in point.runs:
            by_config.setdefault(key_of(decisive(run.config)), []).append(run)
        kinds = sorted(by_config.values(), key=len, reverse=True)
        for number, runs in enumerate(kinds or [[]]):
            config = runs[0].config if runs else point.config
            label = point.label
            if number:
                differing = _differences(kinds[0][0].config, config)
                label = f"{point.label} ({', '.join(differing)})"
                problems += [
                    Problem("other settings", str(run.history.folder), f"{', '.join(differing)}; a point of its own")
                    for run in runs
                ]
            counting, others, twice = _one_a_seed(runs)
            aside += others
            problems += twice
            (split if number else settled).append(replace(point, label=label, config=config, runs=tuple(counting)))
    return _told_apart([*settled, *split]), aside, problems


def _one_a_seed(runs: Iterable[Run]) -> tuple[list[Run], list[Run], list[Problem]]:
    """Two runs of a seed are one observation: the first finished one, by name, counts."""
    counting: dict[int, Run] = {}
    others: list[Run] = []
    problems: list[Problem] = []
    for run in sorted(runs, key=lambda run: run.name):
        if run.status != "finished":
            others.append(run)
        elif (first := counting.setdefault(run.seed, run)) is not run:
            same = "with the same figures" if first.values.get("metric") == run.values.get("metric") else "and differs"
            problems.append(
                Problem("there twice", str(run.history.folder), f"seed {run.seed}, as {first.name}, {same}")
            )
            others.append(run)
    return sorted(counting.values(), key=lambda run: run.seed), others, problems


def _told_apart(points: list[Point]) -> list[Point]:
    """Labels are keys: two that read the same get a number."""
    seen = Counter[str]()
    found: list[Point] = []
    for point in points:
        seen[point.label] += 1
        again = seen[point.label]
        found.append(replace(point, label=f"{point.label} #{again}") if again > 1 else point)
    return found


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith(_FREE)}


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What `other` has that `one` has not, `KEY=VALUE`."""
    one, other = decisive(one), decisive(other)
    keys = [key for key in [*other, *(one.keys() - other.keys())] if key_of(one.get(key)) != key_of(other.get(key))]
    return [f"{key}={short(other.get(key))}" for key in keys]


def telling_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """As few keys as tell the configs apart: names first, and none that adds nothing to those before it."""
    kept: list[str] = []
    parts = 1
    candidates = {key for config in configs for key in decisive(config)}
    for key in sorted(candidates, key=lambda key: (not key.endswith(".name"), key)):
        split = len({tuple(key_of(config.get(each)) for each in [*kept, key]) for config in configs})
        if split > parts:
            kept, parts = [*kept, key], split
    return kept


def label_of(values: Mapping[str, Any]) -> str:
    """`vgg_a lr=0.1`: words speak for themselves, numbers do not."""
    return " ".join(
        short(value) if isinstance(value, str) or key.endswith(".name") else f"{key.rpartition('.')[2]}={short(value)}"
        for key, value in values.items()
    )


def short(value: Any) -> str:
    return ",".join(map(short, value)) if isinstance(value, list | tuple) else "null" if value is None else str(value)


def key_of(value: Any) -> str:
    """The same for values that are one after JSON."""
    if isinstance(value, Mapping):
        return json.dumps({key: canonical(each) for key, each in value.items()}, sort_keys=True, default=str)
    return json.dumps(canonical(value), default=str)
