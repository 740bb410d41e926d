"""Published rows, compared with the configurations that they ask for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trainer.config.overrides import flatten, read_overrides
from trainer.published import Experiment, PublishedRow, runs_of
from trainer.report.configurations import FAILED, Configuration
from trainer.report.published.figures import Figure, figures
from trainer.report.published.grades import AuthorsRun, Grade, Open, authors_run, grade_of, left_open
from trainer.runs.groups import decisive, differing_keys, identity, label, telling_keys, value_text
from trainer.runs.outcomes import Outcome
from trainer.statistics.describe import Values, Verdict, prediction_interval, prediction_p, verdict


@dataclass(frozen=True)
class Filed:
    """Config that a sweep's file resolves to for a configuration."""

    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    origins: Mapping[str, str] = field(default_factory=dict[str, str])  # the layer that set each key


@dataclass(frozen=True)
class Answer:
    """A published row, and our configuration that answers it."""

    experiment: Experiment
    row: PublishedRow
    name: str  # the row's label
    configuration: Configuration | None
    others: tuple[Configuration, ...]  # all of the table
    differences: tuple[str, ...]  # between our settings and the row's, or the sweep file's
    open: tuple[Open, ...] = ()  # settings that the report leaves open
    grade: Grade | None = None  # None where no config is known
    words: tuple[str, ...] = ()  # that start a run of the authors' reading; empty for ours
    departures: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Differences between each configuration of the table and the sweep's file, by label."""

    def sample(self, measure: str) -> Values:
        return self.configuration.sample(measure) if self.configuration else {}

    def marks(self, measure: str) -> tuple[str, ...]:
        """Return what a measure is subject to, of `MARKS`: of all rates if it is of their band."""
        ours = self.configuration
        if ours and ours.siblings and "/" in measure and Outcome(measure).over_rates:
            return ours.siblings.marks
        marks = ours.marks if ours else ()
        return tuple(mark for mark in marks if mark != "survivors only") if measure == FAILED else marks

    def of_ours(self, configuration: Configuration) -> "Answer":
        """Return another configuration of the table as if it were a row: a control of ours, which no report prints."""
        differences = self.departures.get(configuration.label, ())
        return replace(self, name=configuration.label, configuration=configuration, differences=differences)


@dataclass(frozen=True)
class Comparison:
    """A figure of a published row, compared with the runs of its configuration."""

    answer: Answer
    figure: Figure
    headline: bool  # the row's first figure
    sample: Values
    verdict: Verdict
    interval: tuple[float, float] | None  # prediction interval of one more run, rounding included
    p: float | None = (
        None  # that one more run is as far from the mean; None if a bound is printed, or without a verdict
    )
    on_best_epoch: Verdict | None = None  # of an accuracy of the last epoch: the verdict had its best one been printed

    @property
    def mean(self) -> float | None:
        return sum(self.sample.values()) / len(self.sample) if self.sample else None

    @property
    def reproduced(self) -> bool:
        """Return whether there is a plain verdict at the row's settings: not by our definition of a measure."""
        plain = self.figure.judged in ("by runs", "exactly")
        return bool(self.sample) and not self.answer.differences and self.verdict != "undecided" and plain

    @property
    def marks(self) -> tuple[str, ...]:
        """Return what the verdict is subject to, of `MARKS`. A count is the same in each run."""
        return self.answer.marks(self.figure.measure) if self.figure.judged != "exactly" else ()


def answers_of(
    answered: Sequence[Experiment],
    configurations: Sequence[Configuration],
    filed: Mapping[str, Filed] | None = None,
) -> list[Answer]:
    """Return each row of these experiments with the configuration that answers it.

    That is the first one that agrees with the row in every key that distinguishes the configurations. `filed` has, by a
    configuration's label, what the sweep's file resolves to.
    """
    varying = set(differing_keys([each.config for each in configurations if each.config]))
    files = filed or {}
    departures = {
        each.label: tuple(departures_of({}, each.config, files.get(each.label, Filed()).config))
        for each in configurations
        if each.config
    }
    answers: list[Answer] = []
    for experiment in answered:
        for name, row in zip(row_names(experiment), experiment.rows, strict=True):
            asked = flatten(read_overrides(runs_of(row)[0]))
            ours = next((each for each in configurations if _agrees(each.config, asked, varying)), None)
            config = ours.config if ours else {}
            file = files.get(ours.label, Filed()) if ours else Filed()
            differences = tuple(departures_of(asked, config, file.config)) if ours else ()
            opened = left_open(row, config, file.origins) if config else ()
            grade = grade_of(row, opened) if config else None
            answers.append(
                Answer(experiment, row, name, ours, tuple(configurations), differences, opened, grade, (), departures)
            )
    return answers


def authors_answers_of(answered: Sequence[Experiment], configurations: Sequence[Configuration]) -> list[Answer]:
    """Return the rows with an authors' reading, each with the configuration that has exactly its settings, if any."""
    answers: list[Answer] = []
    for experiment in answered:
        for name, row in zip(row_names(experiment), experiment.rows, strict=True):
            if run := authors_run(row):
                fits = [each for each in configurations if each.config and not _departs(each.config, run)]
                opened = left_open(row, run.config, run.origins)
                grade, theirs = grade_of(row, opened), fits[0] if fits else None
                answers.append(
                    Answer(experiment, row, name, theirs, tuple(configurations), (), opened, grade, run.words)
                )
    return answers


def _departs(config: Mapping[str, Any], run: AuthorsRun) -> bool:
    return any(True for _ in departures_of(run.asked, config, run.config))


def _agrees(config: Mapping[str, Any], asked: Mapping[str, Any], varying: set[str]) -> bool:
    keys = asked.keys() & varying
    return bool(config) and not differing_keys([{key: each.get(key) for key in keys} for each in (config, asked)])


def departures_of(asked: Mapping[str, Any], config: Mapping[str, Any], filed: Mapping[str, Any]) -> Iterable[str]:
    """Yield where our settings differ from the printed ones, and the others from the sweep's file."""
    printed = {"data.name": "cifar10", "data.train_size": None, **asked}
    for key, theirs in printed.items():
        if identity(config.get(key)) != identity(theirs):
            said = "all" if key == "data.train_size" else value_text(theirs)
            yield f"{key}: {value_text(config.get(key))} here, {said} published"
    for key, ours in decisive(config).items() if filed else ():  # a key that is newer than the run is absent
        if key not in printed and identity(ours) != identity(filed.get(key)):
            theirs = value_text(filed[key]) if key in filed else "absent"
            yield f"{key}: {value_text(ours)} here, {theirs} in the sweep's file"


def compared(answers: Sequence[Answer]) -> list[Comparison]:
    """Return the comparison of every figure of every row, the headline of each row first."""
    return [
        comparison_of(answer, figure, headline=number == 0)
        for answer in answers
        for number, figure in enumerate(figures(answer.row, answer.experiment))
    ]


def comparison_of(answer: Answer, figure: Figure, *, headline: bool) -> Comparison:
    """Return a figure of a row, compared with the runs of the configuration that answers it."""
    sample = answer.sample(figure.measure)
    values = list(sample.values())
    judged: Verdict = "undecided"
    best: Verdict | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    if figure.judged in ("by runs", "by our definition"):
        judged = verdict(figure.value, values, rounding=figure.rounding, bound=figure.bound)
        interval = prediction_interval(values, rounding=figure.rounding)
        if judged != "undecided" and not figure.bound:
            p = prediction_p(figure.value, values, rounding=figure.rounding)
        if of_the_last_epoch(answer, figure) and (others := answer.sample("best_test_acc")) and others != sample:
            best = verdict(figure.value, [*others.values()], rounding=figure.rounding, bound=figure.bound)
    elif figure.judged == "exactly" and values:  # the same in each run, so one run is enough
        low, high = interval = (min(values) - figure.rounding, max(values) + figure.rounding)
        # Another count is another network: that says nothing about the report's.
        judged = "consistent" if low <= figure.value <= high else "undecided"
    return Comparison(answer, figure, headline, sample, judged, interval, p, best)


def of_the_last_epoch(answer: Answer, figure: Figure) -> bool:
    """Return whether a figure is the test accuracy of a run's last epoch, which a report may name by its number."""
    if figure.measure == "test_acc":
        return True
    measure, _, epoch = figure.measure.partition(" ")
    config = answer.configuration.config if answer.configuration else {}
    return measure == "test_acc_at" and float(epoch) == config.get("train.epochs")


def row_names(experiment: Experiment) -> list[str]:
    """Return the label of each row, which is that of the configuration it asks for."""
    asked = [_asked(row) for row in experiment.rows]
    keys = telling_keys(asked)
    names = [label({key: each[key] for key in keys if key in each}) for each in asked]
    if len(set(names)) < len(names):  # several measurements of one configuration
        names = [f"{name}, {row.settings.get('measurement')}" for name, row in zip(names, experiment.rows, strict=True)]
    return [name or experiment.title for name in names]


def _asked(row: PublishedRow) -> dict[str, Any]:
    """Return a row's settings as config keys. A key in which its runs differ has the list of their values."""
    runs = [flatten(read_overrides(overrides)) for overrides in runs_of(row)]
    differing = differing_keys(runs)
    return {key: [run[key] for run in runs] if key in differing else value for key, value in runs[0].items()}
