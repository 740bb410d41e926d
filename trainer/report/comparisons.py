"""Published rows against the points that they ask for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.config.overrides import flatten, read_words
from trainer.published import Experiment, Row, runs_of
from trainer.report.points import Point, Values, key_of, short
from trainer.report.printed import Figure, figures
from trainer.report.statistics import Verdict, prediction_interval, verdict


@dataclass(frozen=True)
class Comparison:
    """A figure of a published row against the runs of its point."""

    experiment: Experiment
    row: Row
    name: str  # of the row within its table
    figure: Figure
    headline: bool  # whether it is the row's first
    point: Point | None
    sample: Values
    verdict: Verdict
    interval: tuple[float, float] | None  # that holds one more run, rounding included
    differences: tuple[str, ...]  # of our settings from those that the row prints

    @property
    def mean(self) -> float | None:
        return sum(self.sample.values()) / len(self.sample) if self.sample else None

    @property
    def reproduced(self) -> bool:
        """Whether the verdict is about the published settings, and there is one."""
        return bool(self.sample) and not self.differences and self.verdict != "undecided"


def compared(answered: Sequence[Experiment], points: Sequence[Point]) -> Iterable[Comparison]:
    varying = {
        key
        for key in {key for point in points for key in point.config}
        if len({key_of(point.config.get(key)) for point in points if point.config}) > 1
    }
    for experiment in answered:
        names = row_names(experiment)
        for name, row in zip(names, experiment.rows, strict=True):
            point, asked = _point_of(row, points, varying)
            for number, figure in enumerate(figures(row, experiment)):
                yield _comparison(experiment, row, name, figure, number == 0, point, asked)


def _comparison(
    experiment: Experiment,
    row: Row,
    name: str,
    figure: Figure,
    headline: bool,
    point: Point | None,
    asked: Mapping[str, Any],
) -> Comparison:
    sample = {run.seed: value for run in point.runs if (value := figure.of(run)) is not None} if point else {}
    values = list(sample.values())
    found: Verdict = "undecided"
    interval: tuple[float, float] | None = None
    if figure.judged == "by runs":
        found = verdict(figure.value, values, rounding=figure.rounding)
        interval = prediction_interval(values, rounding=figure.rounding)
    elif figure.judged == "exactly" and values:
        interval = (min(values) - figure.rounding, max(values) + figure.rounding)
        found = "consistent" if interval[0] <= figure.value <= interval[1] else (
            "higher" if figure.value < interval[0] else "lower"
        )  # fmt: skip
    differences = tuple(_departures(asked, point.config)) if point and point.config else ()
    return Comparison(experiment, row, name, figure, headline, point, sample, found, interval, differences)


def _point_of(row: Row, points: Sequence[Point], varying: set[str]) -> tuple[Point | None, dict[str, Any]]:
    """(the first point that agrees with a row in all that tells the points apart, what the row prints in our words)."""
    asked = flatten(read_words(runs_of(row)[0]))
    for point in points:
        if point.config and all(key_of(point.config.get(key)) == key_of(asked[key]) for key in asked.keys() & varying):
            return point, asked
    return None, asked


def _departures(asked: Mapping[str, Any], config: Mapping[str, Any]) -> Iterable[str]:
    whole = {"data.name": "cifar10", "data.train_size": None}
    for key, theirs in {**whole, **asked}.items():
        if key_of(config.get(key)) != key_of(theirs):
            said = "all" if key == "data.train_size" else short(theirs)
            yield f"{key}: {short(config.get(key))} here, {said} published"


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
