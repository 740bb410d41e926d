"""The learning rate over a run, as `schedule` and `optimizer.lr` declare it."""

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.run import RunConfig
from trainer.config.schedule import ReduceOnPlateau, Schedule
from trainer.panels.panel import Row
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.training.schedules import RateSchedule

_WIDTH = 720  # of the plot, in the spec's pixels
_TEXT_WIDTH = 125  # characters of a subtitle's line that fit over it


def draw_schedule(config: RunConfig, path: Path, *, steps_per_epoch: int, theme: str = "light") -> None:
    """Draw the whole run's rate by the panel `rate_curve`. Raises ConfigError for another suffix, DiskError."""
    render(schedule_chart(config, steps_per_epoch=steps_per_epoch), path, theme=theme)


def schedule_chart(config: RunConfig, *, steps_per_epoch: int) -> dict[str, Any]:
    """Rate by epoch, in stairs where it moves by epochs; a plateau's with the earliest cuts there can be."""
    epochs, schedule = config.train.epochs, config.schedule
    rows = schedule_rows(config, steps_per_epoch=steps_per_epoch)
    return panel("rate_curve").chart(rows, title=f"{schedule.name}, {epochs} epochs", subtitle=_subtitle(schedule))


def schedule_rows(config: RunConfig, *, steps_per_epoch: int) -> list[Row]:
    """The points of the curve; of a stair both ends."""
    rates = rate_at_each_step(config, steps_per_epoch=steps_per_epoch)
    shown = [*_outline(rates, 2 * _WIDTH), len(rates)]  # the last step's rate holds to its end
    points = [(step / steps_per_epoch, rates[min(step, len(rates) - 1)]) for step in shown]
    if config.schedule.interval == "epoch":
        edges = [(later[0], earlier[1]) for earlier, later in pairwise(points)]
        points = [points[0], *(point for ends in zip(edges, points[1:], strict=True) for point in ends)]
    return [{"group": "schedule", "run": "schedule", "epoch": epoch, "rate": rate} for epoch, rate in points]


@dataclass
class _Rate:
    """Stands for an optimizer, for which torch would have to be loaded."""

    param_groups: list[dict[str, Any]]


def rate_at_each_step(config: RunConfig, *, steps_per_epoch: int) -> list[float]:
    """The rate of every step of the run, where no loss is better than the first epoch's."""
    epochs, lr = config.train.epochs, _Rate([{"lr": config.optimizer.lr}])
    schedule = RateSchedule(config.schedule, lr, epochs=epochs, steps_per_epoch=steps_per_epoch)
    rates: list[float] = []
    for step in range(epochs * steps_per_epoch):
        if step and step % steps_per_epoch == 0:
            schedule.epoch_ended(1.0)
        schedule.set_rate(step)
        rates.append(lr.param_groups[0]["lr"])
    return rates


def _outline(values: list[float], columns: int) -> list[int]:
    """Indices of the first, last, lowest and highest value of each of `columns` stretches: to the pixel the same line
    as all of them draw (Jugel et al. 2014, M4)."""
    if len(values) <= 4 * columns:
        return list(range(len(values)))
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), columns):
        heights = values[stretch[0] : stretch[-1] + 1]
        kept |= {int(stretch[i]) for i in (0, -1, np.argmin(heights), np.argmax(heights))}
    return sorted(kept)


def _subtitle(schedule: Schedule) -> list[str]:
    """The knobs as they are typed, and what the curve cannot say."""
    knobs = schedule.model_dump(mode="json", exclude={"name", "interval", "warmup_epochs"}, exclude_none=True)
    knobs |= {"interval": schedule.interval, "warmup_epochs": schedule.warmup_epochs}
    words = " ".join(f"{key}={_typed(value)}" for key, value in knobs.items())
    lines = textwrap.wrap(words, _TEXT_WIDTH, break_on_hyphens=False)
    if isinstance(schedule, ReduceOnPlateau):
        lines.append("Drawn for a loss that never improves after the first epoch: no run is cut earlier.")
    return lines


def _typed(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(map(_typed, value))}]"
        case _:
            return str(value).removesuffix(".0")
