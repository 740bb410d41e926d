"""Published rows, compared with the configurations that they ask for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.config.overrides import flatten, read_overrides
from trainer.published import Experiment, PublishedRow, runs_of
from trainer.report.configurations import Configuration, Values
from trainer.report.published.figures import Figure, figures
from trainer.runs.groups import decisive, differing_keys, identity, label, telling_keys, value_text
from trainer.statistics.describe import Verdict, prediction_interval, verdict


@dataclass(frozen=True)
class Answer:
    """A published row, and our configuration that answers it."""

    experiment: Experiment
    row: PublishedRow
    name: str  # the row's label
    configuration: Configuration | None
    others: tuple[Configuration, ...]  # all of the table
    differences: tuple[str, ...]  # between our settings and the row's, or the sweep file's
    unsaid: tuple[str, ...]  # what we chose where the report says nothing

    def sample(self, measure: str) -> Values:
        return self.configuration.sample(measure) if self.configuration else {}


@dataclass(frozen=True)
class Comparison:
    """A figure of a published row, compared with the runs of its configuration."""

    answer: Answer
    figure: Figure
    headline: bool  # the row's first figure
    sample: Values
    verdict: Verdict
    interval: tuple[float, float] | None  # prediction interval of one more run, rounding included
    on_best_epoch: Verdict | None = None  # of an accuracy of the last epoch: the verdict had its best one been printed

    @property
    def mean(self) -> float | None:
        return sum(self.sample.values()) / len(self.sample) if self.sample else None

    @property
    def reproduced(self) -> bool:
        """Return whether there is a plain verdict at the published settings: not by our definition of a measure."""
        plain = self.figure.judged in ("by runs", "exactly")
        return bool(self.sample) and not self.answer.differences and self.verdict != "undecided" and plain

    @property
    def marks(self) -> tuple[str, ...]:
        """Return what the verdict is subject to: `interim`, `survivors only`. A count is the same in each run."""
        ours = self.answer.configuration
        return ours.marks if ours and self.figure.judged != "exactly" else ()


_UNSAID = {
    "optimizer": "optimizer.name",
    "lr": "optimizer.lr",
    "momentum": "optimizer.momentum",
    "weight_decay": "optimizer.weight_decay",
    "batch_size": "train.batch_size",
    "epochs": "train.epochs",
    "scheduler": "schedule.name",
    "loss": "loss.name",
    "activation": "model.act",
    "dropout": "model.dropout",
    "augmentation": "augment.crop.padding",
}


def answers_of(
    answered: Sequence[Experiment],
    configurations: Sequence[Configuration],
    filed: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Answer]:
    """Return each row of these experiments with the configuration that answers it.

    That is the first one that agrees with the row in every key that distinguishes the configurations. `filed` has, by a
    configuration's label, the config that the sweep's file resolves to.
    """
    varying = set(differing_keys([each.config for each in configurations if each.config]))
    answers: list[Answer] = []
    for experiment in answered:
        for name, row in zip(row_names(experiment), experiment.rows, strict=True):
            asked = flatten(read_overrides(runs_of(row)[0]))
            ours = next((each for each in configurations if _agrees(each.config, asked, varying)), None)
            config = ours.config if ours else {}
            differences = tuple(_differences(asked, config, (filed or {}).get(ours.label, {}))) if ours else ()
            unsaid = tuple(f"{key}={value_text(config[key])}" for key in _taken(row) if key in config)
            answers.append(Answer(experiment, row, name, ours, tuple(configurations), differences, unsaid))
    return answers


def _agrees(config: Mapping[str, Any], asked: Mapping[str, Any], varying: set[str]) -> bool:
    return bool(config) and not set(differing_keys([config, asked])) & asked.keys() & varying


def _differences(asked: Mapping[str, Any], config: Mapping[str, Any], filed: Mapping[str, Any]) -> Iterable[str]:
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


def _taken(row: PublishedRow) -> Iterable[str]:
    """Return the config keys that a report leaves open for a row."""
    return (ours for theirs, ours in _UNSAID.items() if theirs in row.settings and row.settings[theirs] is None)


def compared(answers: Sequence[Answer]) -> list[Comparison]:
    """Return the comparison of every figure of every row, the headline of each row first."""
    return [
        _comparison(answer, figure, number == 0)
        for answer in answers
        for number, figure in enumerate(figures(answer.row, answer.experiment))
    ]


def _comparison(answer: Answer, figure: Figure, headline: bool) -> Comparison:
    sample = answer.sample(figure.measure)
    values = list(sample.values())
    judged: Verdict = "undecided"
    best: Verdict | None = None
    interval: tuple[float, float] | None = None
    if figure.judged in ("by runs", "by our definition"):
        judged = verdict(figure.value, values, rounding=figure.rounding, bound=figure.bound)
        interval = prediction_interval(values, rounding=figure.rounding)
        if figure.measure == "test_acc" and (others := answer.sample("best_test_acc")) and others != sample:
            best = verdict(figure.value, [*others.values()], rounding=figure.rounding, bound=figure.bound)
    elif figure.judged == "exactly" and values:  # the same in each run, so one run is enough
        low, high = interval = (min(values) - figure.rounding, max(values) + figure.rounding)
        # Another count is another network: that says nothing about the report's.
        judged = "consistent" if low <= figure.value <= high else "undecided"
    return Comparison(answer, figure, headline, sample, judged, interval, best)


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
