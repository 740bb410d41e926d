"""From folders to tables: the points of a question, their runs by seed, the published rows that they answer.

A point is what differs in nothing but the seed. Of a sweep its points are known from the file that lies in its folder;
of other folders they are told by the keys in which the configs differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.config.explain import did_you_mean
from trainer.config.overrides import flatten
from trainer.errors import CheckpointError, UserError
from trainer.published import Experiment, experiments
from trainer.report.folders import Problem, Run, read_run, run_folders
from trainer.report.points import (
    Point,
    Values,
    decisive,
    grouped,
    key_of,
    settled,
    sweep_points,
    telling_keys,
)
from trainer.report.published.claims import Claim, claims_of
from trainer.report.published.comparisons import Answer, Comparison, answers_of, compared
from trainer.statistics import NoiseFloor, Order, Pair, agreement, all_pairs, noise_floor, top_group
from trainer.sweep.file import Sweep, read_sweep
from trainer.sweep.points import points_of

_NOT_OVER = ("finished", "running", "interrupted", "stopped")  # finished: a second run of its seed


@dataclass(frozen=True)
class Table:
    name: str
    folder: Path  # that its runs lie in, or most of them
    question: str
    metric: str  # key of a run's summary that it goes by
    highest: bool
    varied: tuple[str, ...]  # the keys that tell the points apart
    points: tuple[Point, ...]
    unfinished: tuple[Run, ...]  # that could be read, and do not count
    problems: tuple[Problem, ...]
    answers: tuple[Answer, ...]  # published rows
    expected: int | None  # runs that there are to be; None: nobody said

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return compared(self.answers)

    @cached_property
    def claims(self) -> list[Claim]:
        return claims_of(self.answers)

    @property
    def experiments(self) -> list[Experiment]:
        return list({answer.experiment.id: answer.experiment for answer in self.answers}.values())

    @cached_property
    def samples(self) -> dict[str, Values]:
        return {point.label: point.sample() for point in self.points}

    @cached_property
    def pairs(self) -> list[Pair]:
        return all_pairs(self.samples)

    @cached_property
    def top(self) -> list[str]:
        return top_group(self.samples, self.pairs, highest=self.highest)

    @cached_property
    def floor(self) -> NoiseFloor | None:
        different = {tuple(sample.items()) for sample in self.samples.values()}  # identical results are one observation
        return noise_floor([[value for _, value in sample] for sample in sorted(different)])

    @property
    def empty(self) -> list[str]:
        """The configurations of which no run counts."""
        return [label for label, sample in self.samples.items() if not sample]

    @cached_property
    def lost(self) -> list[Run]:
        """That diverged or failed, and whose seed no other run of their configuration has made good."""
        good = {(key_of(decisive(run.config)), run.seed) for point in self.points for run in point.runs}
        return [
            run
            for run in self.unfinished
            if run.status not in _NOT_OVER and (key_of(decisive(run.config)), run.seed) not in good
        ]

    @property
    def runs(self) -> list[Run]:
        """All that could be read."""
        return [run for point in self.points for run in point.runs] + list(self.unfinished)

    @property
    def percent(self) -> bool:
        return "accuracy" in self.metric

    def order(self, experiment: Experiment) -> Order | None:
        """Of an experiment's rows by their headline figures, where ours exist."""
        both = [
            (each.figure.value, each.mean)
            for each in self.comparisons
            if each.answer.experiment is experiment and each.headline and each.mean is not None
        ]
        return agreement([published for published, _ in both], [mean for _, mean in both])


def read_tables(targets: Sequence[str], runs: Path) -> list[Table]:
    """A table for each sweep among the targets, and one for all run folders that are named singly.

    A target is a sweep file or the name of a sweep in `runs`, the folder of a sweep, a folder with runs in it, or a run
    folder. Raises CheckpointError for each that is none of these.
    """
    folders, single, problems = list[Path](), list[Path](), list[str]()
    for target in targets:
        try:
            folder = _folder_of(target, runs)
        except CheckpointError as error:
            problems += error.problems
            continue
        (single if (folder / "config.yaml").is_file() else folders).append(folder)
    if problems:
        raise CheckpointError(*problems)
    tables = [read_table(folder) for folder in dict.fromkeys(folders)]
    if single:
        tables.append(_plain_table("runs", runs, list(dict.fromkeys(single))))
    return tables


def _folder_of(target: str, runs: Path) -> Path:
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        path = runs / path.stem
    elif not path.is_dir():
        path = runs / target
    if not path.is_dir():
        begun = [each.parent.name for each in runs.glob("*/*.yaml") if each.stem == each.parent.name]
        raise CheckpointError(f"{target}: no such folder, and no such sweep in {runs}{did_you_mean(path.name, begun)}")
    if (path / "config.yaml").is_file() or run_folders(path):
        return path
    inside = sorted(str(each.parent) for each in path.glob("*/*.yaml") if each.stem == each.parent.name)
    hint = f"; its sweeps are {', '.join(inside)}" if inside else ""
    raise CheckpointError(f"{target}: no run folder, and none lies in it{hint}")


def read_table(folder: Path) -> Table:
    """Of a sweep's folder, or of one with runs in it."""
    path = folder / f"{folder.resolve().name}.yaml"
    if not path.is_file():
        return _plain_table(folder.resolve().name, folder, run_folders(folder))
    try:
        sweep = read_sweep(path)
    except UserError as error:
        broken = [Problem("unreadable", str(path), problem.removeprefix(f"{path}: ")) for problem in error.problems]
        table = _plain_table(folder.name, folder, run_folders(folder))
        return replace(table, problems=(*broken, *table.problems))
    metric = sweep.file.metric.name if sweep.file.metric else "test/accuracy"
    highest = sweep.file.metric is None or sweep.file.metric.goal == "maximize"
    found, problems = _read(run_folders(folder), metric)
    varied = [key for key in sweep.varied if key != "seed"]
    points, more, expected = sweep_points(sweep, varied, found)
    points, unfinished, others = settled(points)
    answered = tuple(experiment for experiment in experiments() if experiment.sweep == sweep.name)
    filed = {point.label: _resolved(point, sweep) for point in points} if answered else {}
    points = [point if point.config else replace(point, config=filed.get(point.label, {})) for point in points]
    return Table(
        sweep.name,
        folder,
        _question(path),
        metric,
        highest,
        tuple(varied),
        tuple(points),
        tuple(unfinished),
        (*more, *others, *problems),
        tuple(answers_of(answered, points, filed)),
        expected,
    )


def _plain_table(name: str, folder: Path, folders: Sequence[Path]) -> Table:
    metric = "test/accuracy"
    found, problems = _read(folders, metric)
    keys = telling_keys([run.config for run in found])
    points, unfinished, others = settled(grouped(found, keys))
    question = f"What differs with {' and '.join(keys)}?" if keys else "What do these runs come to?"
    return Table(
        name,
        folder,
        question,
        metric,
        True,
        tuple(keys),
        tuple(points),
        tuple(unfinished),
        (*others, *problems),
        (),
        None,
    )


def _read(folders: Iterable[Path], metric: str) -> tuple[list[Run], list[Problem]]:
    runs: list[Run] = []
    problems: list[Problem] = []
    for folder in folders:
        run, wrong = read_run(folder, metric=metric)
        problems += wrong
        if run is not None:
            runs.append(run)
    return runs, problems


def _question(path: Path) -> str:
    """The comment that a sweep's file begins with, else its name."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else f"What do the runs of {path.stem} come to?"


def _resolved(point: Point, sweep: Sweep) -> dict[str, Any]:
    """The config that the sweep's file makes of a point; empty where it has no such point."""
    from trainer.sweep.check import resolve  # loads torch: a network's own defaults stand in its builder alone

    asked = key_of(point.values)
    first = next((e for e in points_of(sweep) if key_of({k: e.values.get(k) for k in point.values}) == asked), None)
    if first is None:
        return {}
    try:
        return flatten(resolve(first, sweep).model_dump(mode="json"))
    except UserError:
        return {}
