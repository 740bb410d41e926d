"""Tables: the configurations of a question, their runs by seed, and the published rows that they answer.

The configurations of a sweep are known from the file in its folder. Those of other folders follow from the keys in
which the configs differ.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from trainer.errors import UserError
from trainer.published import Experiment, experiments
from trainer.report.asked import Measured, all_measured, asked_of
from trainer.report.configurations import Configuration, of_sweep, settled, with_siblings
from trainer.report.controls import Family, control_among, families_of, in_words
from trainer.report.decided import Decided, decided_of, still_missing
from trainer.report.folders import Problem, Read, Run, is_second_test, read_results, runs_of
from trainer.report.planned import networks_too
from trainer.report.published.claims import Claim, claims_of
from trainer.report.published.comparisons import Answer, Comparison, answers_of, authors_answers_of, compared
from trainer.report.published.filed import resolved
from trainer.report.published.readings import Readings, read_otherwise_by, readings_of
from trainer.report.sources import Contents, Source, beside, find_sources, read_source
from trainer.runs import groups
from trainer.runs.archive import SUFFIX, is_archive
from trainer.runs.bands import RATE
from trainer.runs.results import read_result
from trainer.statistics.comparisons import Comparison as Against
from trainer.statistics.comparisons import top_group, with_best, with_control
from trainer.statistics.describe import Values
from trainer.statistics.differences import Pair, all_pairs
from trainer.statistics.failures import Failures, failures
from trainer.statistics.table import NoiseFloor, Order, agreement, noise_floor
from trainer.statistics.verdicts import Verdict, verdicts
from trainer.sweep.catalogue import FOLDER
from trainer.sweep.file import Sweep, parse_sweep, read_sweep

AUTHORS = "authors_"
"""Beginning of the name of a folder, beside that of a sweep, with runs at the settings of the authors' public code."""
_NO_CRASH = ("running", "interrupted", "stopped", "finished", "diverged")  # all statuses that are no crash


@dataclass(frozen=True)
class Table:
    name: str
    folder: Path  # of its runs, or of most of them, or their archive
    question: str
    metric: str  # key of a run's summary that the configurations are compared by
    highest: bool  # is best
    varied: tuple[str, ...]  # the keys that distinguish the configurations
    configurations: tuple[Configuration, ...]
    unfinished: tuple[Run, ...]  # readable, but not counted
    problems: tuple[Problem, ...]
    answers: tuple[Answer, ...]  # to published rows
    expected: int | None  # number of runs; None if it is not known
    control: str = ""  # that its file names: a configuration, a network, or a choice
    authors: tuple[Answer, ...] = ()  # to those rows that have a reading after their authors' public code
    readings: tuple[Readings, ...] = ()  # of rows of another sweep, which this one reads otherwise
    asked: Measured | None = None  # the outcome that its file names in place of the metric
    source: Source | None = None  # None for single runs
    decided: Decided | None = None  # if seeds were added until it was decided
    margin: float | None = None  # difference of the metric that does not matter
    means: bool = False  # are what a search went by, and bad points got fewer seeds

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
        """Return what is compared, by label and seed: the outcome if the file names one, or else the metric.

        Of a search of means it is the points with most seeds. A mean of fewer is partly luck.
        """
        if self.asked:
            return self.asked.samples
        samples = {each.label: each.sample() for each in self.configurations}
        most = max(map(len, samples.values()), default=0)
        return {name: {} if self.means and len(each) < most else each for name, each in samples.items()}

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
        return [
            each
            for family in self.families
            for each in with_control({name: self.samples[name] for name in family.members}, family.control)
        ]

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """Return what may be concluded of each comparison with the best, by label."""
        return self._verdicts(self.scaled, self.against_best, two_sided=False)

    @cached_property
    def verdicts_on_control(self) -> Mapping[str, Verdict]:
        """Return what may be concluded of each comparison with the control, by label."""
        if self.asked:
            return self._verdicts(self.scaled, self.against_control, two_sided=True)
        found: dict[str, Verdict] = {}
        for family in self.families:
            samples = {name: self.samples[name] for name in family.members}
            found |= self._verdicts(samples, with_control(samples, family.control), two_sided=True)
        return found

    def _verdicts(
        self, samples: Mapping[str, Values], comparisons: Sequence[Against], *, two_sided: bool
    ) -> dict[str, Verdict]:
        compared = {each.name for each in comparisons}
        reference = next((name for name, sample in samples.items() if sample and name not in compared), "")
        margin = None if self.asked else self.margin
        return verdicts(samples, comparisons, reference, margin=margin, two_sided=two_sided)

    @property
    def families(self) -> list[Family]:
        """Return which configurations are compared with which control. An outcome has its own comparisons."""
        return families_of(self.control, self.configurations) if self.control and not self.asked else []

    @property
    def control_words(self) -> str:
        return self.control if self.asked else in_words(self.control, self.configurations)

    @cached_property
    def top(self) -> list[str]:
        return top_group(self.scaled, self.against_best, highest=self.best_is_highest)

    @property
    def ranked(self) -> list[str]:
        """Return the configurations with values, the best mean first."""
        return top_group(self.scaled, [], highest=self.best_is_highest)

    @cached_property
    def floor(self) -> NoiseFloor | None:
        return noise_floor(self.scaled)

    @property
    def spreads_differ(self) -> bool:
        """Return whether tests of the table rest on spreads that Bartlett's test contradicts. Pairs have only one."""
        in_pairs = self.asked is not None and len(self.asked.filled) == 2
        return self.floor is not None and not self.floor.equal and not in_pairs

    @cached_property
    def failures(self) -> list[Failures]:
        """Return the share of failed runs of each configuration with an ended run."""
        return failures(
            {each.label: (len(each.failed), len(each.runs) + len(each.failed)) for each in self.configurations}
        )

    @property
    def empty(self) -> list[str]:
        """Return the configurations of which no run has ended, well or badly."""
        return [each.label for each in self.configurations if not each.runs and not each.failed]

    @property
    def unmeasured(self) -> dict[str, int]:
        """Return how many runs of a configuration have no finite number of the table's metric, if some have not."""
        counts = {each.label: len(each.runs) - len(each.sample()) for each in self.configurations}
        return {label: count for label, count in counts.items() if count}

    @property
    def interim(self) -> bool:
        """Return whether runs are still to come: planned seeds of a grid, or runs of a search."""
        if not any(each.planned for each in self.configurations):
            ended = sum(run.status in ("finished", "stopped", "diverged") for run in self.runs)
            return self.expected is not None and ended < self.expected
        return any(not each.ended.issuperset(each.planned) for each in self.configurations)

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
    def second_tests(self) -> list[str]:
        """Return the measures of second test sets that runs have, sorted. They are shown and never chosen on."""
        runs = [run for each in self.configurations for run in each.runs]
        return sorted({measure for run in runs for measure in run.values if is_second_test(measure)})

    @property
    def percent(self) -> bool:
        return self.asked.outcome.percent if self.asked else "accuracy" in self.metric

    def where(self, problem: Problem) -> str:
        """Return the run or configuration of a problem. The rest of the path only says whose machine it was."""
        return problem.where.removeprefix(f"{self.folder}/")

    def order(self, experiment: Experiment) -> Order | None:
        """Compare the published order of an experiment's rows with ours, by headline figures."""
        both = [
            (each.figure.value, each.mean)
            for each in self.comparisons
            if each.answer.experiment is experiment and each.headline and each.mean is not None
        ]
        return agreement([published for published, _ in both], [mean for _, mean in both])


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


def read_table(path: Path) -> Table:
    """Return the table of a sweep's folder, of a folder that contains runs, or of an archive."""
    return read_table_of(Source(None, (path,)) if is_archive(path) else Source(path))


def read_table_of(source: Source, read: Read = read_result) -> Table:
    """Return the table of a folder and archives together. Raises ArchiveError for a damaged archive."""
    contents, name = read_source(source, read), source.name
    folder = source.folder or source.archives[0]
    if contents.sweep is None:
        return replace(_plain_table(name, folder, contents), source=source)
    text, path = contents.sweep, contents.file or Path(f"{name}.yaml")
    try:
        sweep = read_sweep(path) if contents.file else parse_sweep(text, path)
    except UserError as error:
        broken = [Problem("unreadable", str(path), problem.removeprefix(f"{path}: ")) for problem in error.problems]
        table = _plain_table(name, folder, contents)
        return replace(table, problems=(*broken, *table.problems), source=source)
    metric = sweep.file.metric.name if sweep.file.metric else "test/accuracy"
    highest = sweep.file.metric is None or sweep.file.metric.goal == "maximize"
    runs, problems = runs_of(contents.results, metric=metric)
    varied = [key for key in sweep.varied if key != groups.SEED]
    configurations, missing, expected = of_sweep(sweep, varied, runs)
    configurations, unfinished, others = settled(configurations)
    header, decided = sweep.header, None
    if header.until:
        decided, configurations = decided_of(header.until, configurations, unfinished, metric=metric, highest=highest)
        missing = still_missing(missing, configurations)
        expected = sum(len(each.planned) for each in configurations)
    over = header.outcome.over if header.outcome else None
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
    return _answered(table, sweep, read)


def unrun_table(name: str, runs: Path, archives: Path | None = None) -> Table | None:
    """Return the table of a sweep without runs, from its file in the catalogue, or None if it is not there.

    `runs` and `archives` may still have runs at the settings of its authors' public code.
    """
    if not (FOLDER / f"{name}.yaml").is_file():
        return None
    places = Source(runs / name, (archives / f"{name}{SUFFIX}",) if archives else ())
    if beside(places, f"{AUTHORS}{name}"):
        return _without_runs(name, places)
    return replace(_planned_table(name), folder=runs / name, source=places)


@cache
def _planned_table(name: str) -> Table:
    """Return what follows from the catalogue alone. It is the same for each index that this process writes."""
    return _without_runs(name, None)


def _without_runs(name: str, places: Source | None) -> Table:
    sweep = read_sweep(FOLDER / f"{name}.yaml")
    varied = [key for key in sweep.varied if key != groups.SEED]
    configurations, missing, expected = of_sweep(sweep, varied, [])
    folder = places.folder if places and places.folder else Path(name)
    none = (folder, _question(sweep), "test/accuracy", True, tuple(varied))
    table = Table(name, *none, tuple(configurations), (), tuple(missing), (), expected, source=places)
    return _answered(table, sweep)


def _answered(table: Table, sweep: Sweep, read: Read = read_result) -> Table:
    """Return a sweep's table with its answers to published rows, under either reading."""
    answered = tuple(experiment for experiment in experiments() if experiment.sweep == sweep.name)
    if not answered and not read_otherwise_by(sweep.name):
        return table
    complete = networks_too()
    filed = {each.label: resolved(each, sweep, complete) for each in table.configurations}
    configurations = [
        each if each.config else replace(each, config=filed[each.label].config) for each in table.configurations
    ]
    after_code = beside(table.source, f"{AUTHORS}{sweep.name}") if table.source else None
    theirs = read_table_of(after_code, read).configurations if after_code else ()
    answers = answers_of(answered, configurations, filed)
    return replace(
        table,
        configurations=tuple(configurations),
        answers=tuple(answers),
        readings=tuple(readings_of(sweep.name, configurations, filed)),
        authors=tuple(_planned(authors_answers_of(answered, [*theirs, *configurations], complete), answers)),
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


def _identity(run: Run) -> tuple[str, int]:
    return groups.identity(groups.decisive(run.config)), run.seed


def _question(sweep: Sweep) -> str:
    """Return the comment on the first line of a sweep's file, or else a question with its name."""
    return sweep.header.question or f"What do the runs of {sweep.name} achieve?"
