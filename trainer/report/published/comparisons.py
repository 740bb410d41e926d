"""Published rows against the points that they ask for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.config.overrides import flatten, read_overrides
from trainer.published import Experiment, Row, runs_of
from trainer.report.points import Point, Values, decisive, key_of, short
from trainer.report.published.figures import Figure, figures
from trainer.statistics import Verdict, prediction_interval, verdict


@dataclass(frozen=True)
class Answer:
    """A published row, and the point of ours that it asks for."""

    experiment: Experiment
    row: Row
    name: str  # of the row within its table
    point: Point | None
    others: tuple[Point, ...]  # all points of the table
    differences: tuple[str, ...]  # of our settings from those that the row prints, and from the sweep's file
    unsaid: tuple[str, ...]  # what the report does not say, and we have taken

    def sample(self, measure: str) -> Values:
        return self.point.sample(measure) if self.point else {}


@dataclass(frozen=True)
class Comparison:
    """A figure of a published row against the runs of its point."""

    answer: Answer
    figure: Figure
    headline: bool  # whether it is the row's first
    sample: Values
    verdict: Verdict
    interval: tuple[float, float] | None  # that holds one more run, rounding included

    @property
    def mean(self) -> float | None:
        return sum(self.sample.values()) / len(self.sample) if self.sample else None

    @property
    def reproduced(self) -> bool:
        """Whether the verdict is about the published settings, and there is one."""
        return bool(self.sample) and not self.answer.differences and self.verdict != "undecided"


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
    answered: Sequence[Experiment], points: Sequence[Point], filed: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Answer]:
    """Each row of these experiments with the first point that agrees with it in all that tells the points apart.
    `filed`: by the label of a point, the config that the sweep's file makes of it."""
    varying = {
        key
        for key in {key for point in points for key in point.config}
        if len({key_of(point.config.get(key)) for point in points if point.config}) > 1
    }
    found: list[Answer] = []
    for experiment in answered:
        for name, row in zip(row_names(experiment), experiment.rows, strict=True):
            asked = flatten(read_overrides(runs_of(row)[0]))
            point = next((each for each in points if _agrees(each.config, asked, varying)), None)
            config = point.config if point else {}
            differences = (
                tuple(_differences(asked, config, (filed or {}).get(point.label, {}))) if point and config else ()
            )
            unsaid = tuple(f"{key}={short(config[key])}" for key in _taken(row) if key in config)
            found.append(Answer(experiment, row, name, point, tuple(points), differences, unsaid))
    return found


def _agrees(config: Mapping[str, Any], asked: Mapping[str, Any], varying: set[str]) -> bool:
    return bool(config) and all(key_of(config.get(key)) == key_of(asked[key]) for key in asked.keys() & varying)


def _differences(asked: Mapping[str, Any], config: Mapping[str, Any], filed: Mapping[str, Any]) -> Iterable[str]:
    """From what is printed; and in all else from the sweep's file, which is our reading of what is not."""
    printed = {"data.name": "cifar10", "data.train_size": None, **asked}
    for key, theirs in printed.items():
        if key_of(config.get(key)) != key_of(theirs):
            said = "all" if key == "data.train_size" else short(theirs)
            yield f"{key}: {short(config.get(key))} here, {said} published"
    for key, ours in decisive(config).items() if filed else ():  # a key that is younger than the run is not there
        if key not in printed and key_of(ours) != key_of(filed.get(key)):
            theirs = short(filed[key]) if key in filed else "absent"
            yield f"{key}: {short(ours)} here, {theirs} in the sweep's file"


def _taken(row: Row) -> Iterable[str]:
    """The config keys of what a report could say about a row, and does not."""
    return (ours for theirs, ours in _UNSAID.items() if theirs in row.settings and row.settings[theirs] is None)


def compared(answers: Sequence[Answer]) -> list[Comparison]:
    """All figures of all rows, the headline of each row first."""
    return [
        _comparison(answer, figure, number == 0)
        for answer in answers
        for number, figure in enumerate(figures(answer.row, answer.experiment))
    ]


def _comparison(answer: Answer, figure: Figure, headline: bool) -> Comparison:
    sample = answer.sample(figure.measure)
    values = list(sample.values())
    found: Verdict = "undecided"
    interval: tuple[float, float] | None = None
    if figure.judged == "by runs":
        found = verdict(figure.value, values, rounding=figure.rounding)
        interval = prediction_interval(values, rounding=figure.rounding)
    elif figure.judged == "exactly" and values:  # the same in each run, so that one is enough
        low, high = interval = (min(values) - figure.rounding, max(values) + figure.rounding)
        found = "higher" if figure.value < low else "lower" if figure.value > high else "consistent"
    return Comparison(answer, figure, headline, sample, found, interval)


def row_names(experiment: Experiment) -> list[str]:
    """Of each row, what tells it from the others of its table."""
    keys = list(dict.fromkeys(key for row in experiment.rows for key in row.settings))
    telling = [key for key in keys if len({json.dumps(row.settings.get(key)) for row in experiment.rows}) > 1]
    return [
        " ".join(_named(key, row.settings[key]) for key in telling if row.settings.get(key) is not None)
        or experiment.title
        for row in experiment.rows
    ]


def _named(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"no {key}"
    words = key in ("model", "activation", "optimizer", "scheduler", "loss", "stem", "layer_order") or isinstance(
        value, str
    )
    return short(value) if words else f"{key} {short(value)}"
