"""Tables: the configurations of a question, their runs by seed, and the published rows that they answer.

The configurations of a sweep are known from the file in its folder. Those of other folders follow from the keys in
which the configs differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from trainer.config.explain import did_you_mean
from trainer.errors import CheckpointError, UserError
from trainer.published import Experiment, experiments
from trainer.report.asked import Measured, all_measured, asked_of, siblings_of
from trainer.report.configurations import Configuration, Values, of_sweep, settled, with_siblings
from trainer.report.folders import Problem, Run, read_run, run_folders
from trainer.report.published.claims import Claim, claims_of
from trainer.report.published.comparisons import Answer, Comparison, answers_of, authors_answers_of, compared
from trainer.report.published.filed import networks_too, resolved
from trainer.runs import groups
from trainer.statistics.comparisons import Comparison as Against
from trainer.statistics.comparisons import top_group, with_best, with_control
from trainer.statistics.differences import Pair, all_pairs
from trainer.statistics.failures import Failures, failures
from trainer.statistics.table import NoiseFloor, Order, agreement, noise_floor
from trainer.sweep.file import Sweep, read_sweep

AUTHORS = "authors_"
"""Beginning of the name of a folder, beside that of a sweep, with runs at the settings of the authors' public code."""
_SWEEPS = Path(__file__).parents[2] / "sweeps"
_NO_CRASH = ("running", "interrupted", "stopped", "finished", "diverged")  # all statuses that are no crash


@dataclass(frozen=True)
class Table:
    name: str
    folder: Path  # of its runs, or of most of them
    question: str
    metric: str  # key of a run's summary that the configurations are compared by
    highest: bool  # is best
    varied: tuple[str, ...]  # the keys that distinguish the configurations
    configurations: tuple[Configuration, ...]
    unfinished: tuple[Run, ...]  # readable, but not counted
    problems: tuple[Problem, ...]
    answers: tuple[Answer, ...]  # to published rows
    expected: int | None  # number of runs; None if it is not known
    control: str = ""  # label of the configuration that its file compares all others with
    authors: tuple[Answer, ...] = ()  # to those rows that have a reading after their authors' public code
    asked: Measured | None = None  # the outcome that its file names in place of the metric

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return compared(self.answers)

    @cached_property
    def authors_comparisons(self) -> list[Comparison]:
        return compared(self.authors)

    @cached_property
    def claims(self) -> list[Claim]:
        return claims_of(self.answers)

    @property
    def experiments(self) -> list[Experiment]:
        return list({answer.experiment.id: answer.experiment for answer in self.answers}.values())

    @cached_property
    def samples(self) -> Mapping[str, Values]:
        """Return what is compared, by label and seed: the outcome if the file names one, or else the metric."""
        return self.asked.samples if self.asked else {each.label: each.sample() for each in self.configurations}

    @property
    def scaled(self) -> Mapping[str, Values]:
        """Return the samples on the scale of the tests: logarithms of an outcome that is compared by its ratio."""
        return self.asked.scaled if self.asked else self.samples

    @cached_property
    def measured(self) -> list[Measured]:
        """Return what the probes of the runs measured beside the outcome."""
        return all_measured(self.configurations, self.asked, self.control)

    @property
    def best_is_highest(self) -> bool:
        return self.asked.highest if self.asked else self.highest

    @cached_property
    def pairs(self) -> list[Pair]:
        return all_pairs(self.scaled)

    @cached_property
    def against_best(self) -> list[Against]:
        if self.asked:
            return self.asked.against_best
        return with_best(self.samples, highest=self.highest)

    @cached_property
    def against_control(self) -> list[Against]:
        """Return the comparisons with the control, none if the file names none or it has no run."""
        if self.asked:
            return self.asked.against_control
        return with_control(self.samples, self.control) if self.control else []

    @cached_property
    def top(self) -> list[str]:
        return top_group(self.scaled, self.against_best, highest=self.best_is_highest)

    @cached_property
    def floor(self) -> NoiseFloor | None:
        return noise_floor(self.scaled)

    @cached_property
    def failures(self) -> list[Failures]:
        """Return the share of failed runs of each configuration with an ended run."""
        return failures(
            {each.label: (len(each.failed), len(each.runs) + len(each.failed)) for each in self.configurations}
        )

    @property
    def empty(self) -> list[str]:
        """Return the configurations of which no run has ended, well or badly."""
        return [each.label for each in self.configurations if not each.sample() and not each.failed]

    @property
    def interim(self) -> bool:
        """Return whether runs are still to come: planned seeds of a grid, or runs of a search."""
        if not any(each.planned for each in self.configurations):
            ended = sum(run.status in ("finished", "stopped", "diverged") for run in self.runs)
            return self.expected is not None and ended < self.expected
        return any(
            not {run.seed for run in (*each.runs, *each.failed)}.issuperset(each.planned)
            for each in self.configurations
        )

    @cached_property
    def lost(self) -> list[Run]:
        """Return the runs that crashed, if no other run of their configuration and seed ended."""
        ended = {_identity(run) for each in self.configurations for run in (*each.runs, *each.failed)}
        return [run for run in self.unfinished if run.status not in _NO_CRASH and _identity(run) not in ended]

    @property
    def runs(self) -> list[Run]:
        """Return all readable runs."""
        return [run for each in self.configurations for run in each.runs] + list(self.unfinished)

    @property
    def percent(self) -> bool:
        return self.asked.outcome.percent if self.asked else "accuracy" in self.metric

    def order(self, experiment: Experiment) -> Order | None:
        """Compare the published order of an experiment's rows with ours, by headline figures."""
        both = [
            (each.figure.value, each.mean)
            for each in self.comparisons
            if each.answer.experiment is experiment and each.headline and each.mean is not None
        ]
        return agreement([published for published, _ in both], [mean for _, mean in both])


def read_tables(targets: Sequence[str], runs: Path) -> list[Table]:
    """Return a table for each sweep among the targets, and one for all single run folders.

    A target is a sweep file or the name of a sweep in `runs`, the folder of a sweep, a folder that contains runs, or a
    run folder. Raises CheckpointError for each target that is none of these.
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
    raise CheckpointError(f"{target}: not a run folder, and contains none{hint}")


def read_table(folder: Path) -> Table:
    """Return the table of a sweep's folder, or of a folder that contains runs."""
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
    runs, problems = _read(run_folders(folder), metric)
    varied = [key for key in sweep.varied if key != groups.SEED]
    configurations, missing, expected = of_sweep(sweep, varied, runs)
    configurations, unfinished, others = settled(configurations)
    configurations = with_siblings(configurations)
    header = sweep.header
    control = _control(header.control, configurations)
    table = Table(
        sweep.name,
        folder,
        _question(sweep),
        metric,
        highest,
        tuple(varied),
        tuple(configurations),
        tuple(unfinished),
        (*missing, *others, *problems),
        (),
        expected,
        control,
        asked=asked_of(header.outcome, configurations, control=control, highest=header.highest),
    )
    return _answered(table, sweep)


def unrun_table(name: str, runs: Path) -> Table | None:
    """Return the table of a sweep without runs, from its file in `sweeps/`, or None if that is not beside the package.

    `runs` may still have runs at the settings of its authors' public code.
    """
    path = _SWEEPS / f"{name}.yaml"
    if not path.is_file():
        return None
    sweep = read_sweep(path)
    varied = [key for key in sweep.varied if key != groups.SEED]
    configurations, missing, expected = of_sweep(sweep, varied, [])
    none = (runs / name, _question(sweep), "test/accuracy", True, tuple(varied))
    return _answered(Table(name, *none, tuple(configurations), (), tuple(missing), (), expected), sweep)


def _answered(table: Table, sweep: Sweep) -> Table:
    """Return a sweep's table with its answers to published rows, under either reading."""
    answered = tuple(experiment for experiment in experiments() if experiment.sweep == sweep.name)
    if not answered:
        return table
    complete = networks_too()
    filed = {each.label: resolved(each, sweep, complete) for each in table.configurations}
    configurations = [
        each if each.config else replace(each, config=filed[each.label].config) for each in table.configurations
    ]
    beside = table.folder.parent / f"{AUTHORS}{sweep.name}"
    theirs = read_table(beside).configurations if beside.is_dir() else ()
    return replace(
        table,
        configurations=tuple(configurations),
        answers=tuple(answers_of(answered, configurations, filed)),
        authors=tuple(authors_answers_of(answered, [*theirs, *configurations], complete)),
    )


def _plain_table(name: str, folder: Path, folders: Sequence[Path]) -> Table:
    metric = "test/accuracy"
    runs, problems = _read(folders, metric)
    keys = groups.telling_keys([run.config for run in runs])
    configurations, unfinished, others = settled(
        Configuration(label, {key: alike[0].config.get(key) for key in keys}, {}, tuple(alike))
        for label, alike in groups.grouped(runs).items()
    )
    configurations = with_siblings(configurations)
    question = f"What differs with {' and '.join(keys)}?" if keys else "What do these runs achieve?"
    return Table(
        name,
        folder,
        question,
        metric,
        True,
        tuple(keys),
        tuple(configurations),
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


def _identity(run: Run) -> tuple[str, int]:
    return groups.identity(groups.decisive(run.config)), run.seed


def _question(sweep: Sweep) -> str:
    """Return the comment on the first line of a sweep's file, or else a question with its name."""
    return sweep.header.question or f"What do the runs of {sweep.name} achieve?"


def _control(name: str, configurations: Sequence[Configuration]) -> str:
    """Return the label that a sweep's file names as control if there is such a configuration or network, or ""."""
    labels = {each.label for each in configurations} | {each.label for each in siblings_of(configurations)}
    return name if name in labels else ""
