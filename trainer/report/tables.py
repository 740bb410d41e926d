"""Reading tables from folders of runs, archives and sweep files.

The configurations of a sweep are known from its file: the one that is named, or else that in its folder. Those of other
folders follow from the keys in which the configs differ.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from trainer.errors import UserError
from trainer.published import experiments
from trainer.report.asked import asked_of
from trainer.report.configurations import Configuration, cut_short_in, of_sweep, settled, with_search, with_siblings
from trainer.report.controls import control_among
from trainer.report.decided import decided_of, still_missing
from trainer.report.folders import Problem, Read, read_results, runs_of
from trainer.report.published.comparisons import Answer, answers_of, authors_answers_of
from trainer.report.published.filed import resolved
from trainer.report.published.readings import read_otherwise_by, readings_of
from trainer.report.sources import (
    Contents,
    Source,
    as_asked,
    beside,
    find_sources,
    read_given,
    read_source,
    source_of,
)
from trainer.report.table import Table
from trainer.runs import groups
from trainer.runs.archive import is_archive
from trainer.runs.bands import RATE
from trainer.runs.outcomes import EPOCHS
from trainer.runs.results import read_result
from trainer.sweep.catalogue import FOLDER
from trainer.sweep.file import Sweep, parse_sweep, read_sweep

AUTHORS = "authors_"
"""Beginning of the name of a folder, beside that of a sweep, with runs at the settings of the authors' public code."""


def read_tables(targets: Sequence[str], runs: Path, archives: Path | None = None) -> list[Table]:
    """Return a table for each sweep among the targets, and one for all single run folders.

    `sources.find_sources` says what a target is. Raises CheckpointError for each target that is nothing of that, and
    ArchiveError for a damaged archive.
    """
    sources = find_sources(targets, runs, archives)
    tables = [read_table_of(source) for source in sources if not source.single]
    if single := [source.folder for source in sources if source.single and source.folder]:
        results, problems = read_results(single)
        tables.append(_plain_table("runs", runs, Contents(tuple(results), tuple(problems), None, None)))
    return tables


def archives_beside(runs: Path) -> Path:
    """Return the folder whose archives count beside a folder of runs, unless you name another."""
    return runs.parent / "docs/results/runs"


def place_of(table: Table, runs: Path) -> Path:
    """Return the folder that a table's report is written to. Nothing is written beside an archive."""
    return (table.folder if table.folder.is_dir() else runs / table.name) / "report"


def read_table(path: Path) -> Table:
    """Return the table of a sweep's folder, of a folder that contains runs, or of an archive."""
    return read_table_of(Source(None, (path,)) if is_archive(path) else Source(path))


def read_table_of(source: Source, read: Read = read_result) -> Table:
    """Return the table of a folder and archives together.

    Raises ArchiveError for a damaged archive, and SweepError for a wrong file that somebody named. Another wrong one is
    a problem of the table.
    """
    contents, name = read_source(source, read), source.name
    folder = source.folder or source.archives[0]
    if contents.sweep is None and source.given is None:
        return replace(_plain_table(name, folder, contents), source=source)
    path = contents.file or Path(f"{name}.yaml")
    try:
        if source.given:
            sweep = read_given(source.given, contents.sweep)
        else:
            sweep = read_sweep(path) if contents.file else parse_sweep(contents.sweep or "", path)
        sweep = as_asked(sweep)
    except UserError as error:
        if source.given:
            raise
        broken = [Problem("unreadable", str(path), problem.removeprefix(f"{path}: ")) for problem in error.problems]
        table = _plain_table(name, folder, contents)
        return replace(table, problems=(*broken, *table.problems), source=source)
    metric = sweep.file.metric.name if sweep.file.metric else "test/accuracy"
    highest = sweep.file.metric is None or sweep.file.metric.goal == "maximize"
    runs, problems = runs_of(contents.results, metric=metric)
    varied = [key for key in sweep.varied if key != groups.SEED]
    configurations, missing, expected = of_sweep(sweep, varied, runs)
    header, decided = sweep.header, None
    configurations, unfinished, others = settled(configurations, header.outcome)
    if header.until:
        decided, configurations = decided_of(header.until, configurations, unfinished, metric=metric, highest=highest)
        missing = still_missing(missing, configurations)
        expected = sum(len(each.planned) for each in configurations)
    configurations = with_search(configurations, unfinished, expected)
    over = header.outcome.over if header.outcome else None
    if over == EPOCHS:
        others = [*others, *cut_short_in(configurations)]
    configurations = with_siblings(configurations, over or RATE)
    control = control_among(header.control, configurations)
    table = Table(
        sweep.name,
        folder,
        _question(sweep),
        metric,
        highest,
        tuple(varied),
        tuple(configurations),
        tuple(unfinished),
        (*missing, *others, *contents.problems, *problems),
        (),
        expected,
        control,
        asked=asked_of(header.outcome, configurations, control=control, highest=header.highest),
        source=source,
        decided=decided,
        margin=header.margin or (header.until.margin if header.until else None),
        means=header.seeds_per_point > 1,
    )
    return _answered(table, sweep, beside(source, f"{AUTHORS}{sweep.name}"), read)


def unrun_table(name: str, runs: Path, archives: Path | None = None) -> Table | None:
    """Return the table of a sweep without runs, from its file in the catalogue, or None if it is not there.

    `runs` and `archives` may still have runs at the settings of its authors' public code.
    """
    if not (FOLDER / f"{name}.yaml").is_file():
        return None
    if after_code := source_of(f"{AUTHORS}{name}", runs, archives):
        return replace(_without_runs(name, after_code), folder=runs / name)
    return replace(_planned_table(name), folder=runs / name)


@cache
def _planned_table(name: str) -> Table:
    """Return what follows from the catalogue alone. It is the same for each index that this process writes."""
    return _without_runs(name, None)


def _without_runs(name: str, after_code: Source | None) -> Table:
    sweep = read_sweep(FOLDER / f"{name}.yaml")
    varied = [key for key in sweep.varied if key != groups.SEED]
    configurations, missing, expected = of_sweep(sweep, varied, [])
    none = (Path(name), _question(sweep), "test/accuracy", True, tuple(varied))
    table = Table(name, *none, tuple(configurations), (), tuple(missing), (), expected)
    return _answered(table, sweep, after_code)


def _answered(table: Table, sweep: Sweep, after_code: Source | None, read: Read = read_result) -> Table:
    """Return a sweep's table with its answers to published rows, under either reading.

    `after_code` has the runs at the settings of its authors' public code.
    """
    answered = tuple(experiment for experiment in experiments() if experiment.sweep == sweep.name)
    if not answered and not read_otherwise_by(sweep.name):
        return table
    filed = {each.label: resolved(each, sweep) for each in table.configurations}
    configurations = [
        each if each.config else replace(each, config=filed[each.label].config) for each in table.configurations
    ]
    theirs = read_table_of(after_code, read) if after_code else None
    fitting = [*(theirs.configurations if theirs else ()), *configurations]
    answers = answers_of(answered, configurations, filed)
    return replace(
        table,
        configurations=tuple(configurations),
        answers=tuple(answers),
        problems=(*table.problems, *(theirs.problems if theirs else ())),
        readings=tuple(readings_of(sweep.name, configurations, filed)),
        authors=tuple(_planned(authors_answers_of(answered, fitting), answers)),
    )


def _planned(authors: Iterable[Answer], answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield the authors' answers, whose runs are planned for the same seeds as those of our reading of the row."""
    seeds = {(each.experiment.id, each.name): each.configuration.planned for each in answers if each.configuration}
    for each in authors:
        planned = seeds.get((each.experiment.id, each.name), ())
        if each.configuration and not each.configuration.planned:
            yield replace(each, configuration=replace(each.configuration, planned=planned))
        else:
            yield each


def _plain_table(name: str, folder: Path, contents: Contents) -> Table:
    metric = "test/accuracy"
    runs, problems = runs_of(contents.results, metric=metric)
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
        (*others, *contents.problems, *problems),
        (),
        None,
    )


def _question(sweep: Sweep) -> str:
    """Return the comment on the first line of a sweep's file, or else a question with its name."""
    return sweep.header.question or f"What do the runs of {sweep.name} achieve?"
