"""The learning rate over a run, as `schedule` and `optimizer.lr` declare it."""

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.run import RunConfig
from trainer.config.schedule import ReduceOnPlateau, Schedule
from trainer.data.steps import Steps
from trainer.panels.panel import Row
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.runs.groups import value_text
from trainer.training.schedules import RateSchedule

_WIDTH = 720  # of the plot, in the spec's pixels
_TEXT_WIDTH = 125  # characters of a subtitle's line that fit over it


def draw_schedule(config: RunConfig, path: Path, *, steps: Steps) -> None:
    """Draw the rate of the whole run with the panel `rate_curve`. Raises ConfigError for a wrong suffix, DiskError."""
    render(schedule_chart(config, steps=steps), path)


def schedule_chart(config: RunConfig, *, steps: Steps) -> dict[str, Any]:
    """Return a chart of rate by epoch, in stairs if it changes by epochs. A plateau has its earliest possible cuts."""
    epochs, schedule = config.train.epochs, config.schedule
    rows = schedule_rows(config, steps=steps)
    return panel("rate_curve").chart(rows, title=f"{schedule.name}, {epochs:g} epochs", subtitle=_subtitle(schedule))


def schedule_rows(config: RunConfig, *, steps: Steps) -> list[Row]:
    """Return the points of the curve, both ends of each stair."""
    rates = rate_at_each_step(config, steps=steps)
    shown = [*_outline(rates, 2 * _WIDTH), len(rates)]  # the last step's rate lasts to its end
    points = [(float(steps.epochs_at(step)), rates[min(step, len(rates) - 1)]) for step in shown]
    if config.schedule.interval == "epoch":
        edges = [(later[0], earlier[1]) for earlier, later in pairwise(points)]
        points = [points[0], *(point for ends in zip(edges, points[1:], strict=True) for point in ends)]
    return [{"group": "schedule", "run": "schedule", "epoch": epoch, "rate": rate} for epoch, rate in points]


@dataclass
class _Rate:
    """A stand-in for an optimizer, which would need torch."""

    param_groups: list[dict[str, Any]]


def rate_at_each_step(config: RunConfig, *, steps: Steps) -> list[float]:
    """Return the rate at every step of a run whose loss never improves after the first epoch."""
    epochs, lr = config.train.epochs, _Rate([{"lr": config.optimizer.lr}])
    schedule = RateSchedule(config.schedule, lr, epochs=epochs, steps=steps)
    rates: list[float] = []
    for step in range(steps.of(epochs)):
        if step and steps.epochs_at(step).denominator == 1:
            schedule.epoch_ended(1.0)
        schedule.set_rate(step)
        rates.append(lr.param_groups[0]["lr"])
    return rates


def _outline(values: list[float], columns: int) -> list[int]:
    """Return the indices of the first, last, lowest and highest value in each of `columns` stretches.

    To the pixel they draw the same line as all values (Jugel et al. 2014, M4).
    """
    if len(values) <= 4 * columns:
        return list(range(len(values)))
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), columns):
        heights = values[stretch[0] : stretch[-1] + 1]
        kept |= {int(stretch[i]) for i in (0, -1, np.argmin(heights), np.argmax(heights))}
    return sorted(kept)


def _subtitle(schedule: Schedule) -> list[str]:
    """Return the keys as they are typed, and what the curve cannot show."""
    knobs = schedule.model_dump(mode="json", exclude={"name", "interval", "warmup_epochs"}, exclude_none=True)
    knobs |= {"interval": schedule.interval, "warmup_epochs": schedule.warmup_epochs}
    overrides = " ".join(f"{key}={value_text(value)}" for key, value in knobs.items())
    lines = textwrap.wrap(overrides, _TEXT_WIDTH, break_on_hyphens=False)
    if isinstance(schedule, ReduceOnPlateau):
        lines.append("Drawn for a loss that never improves after the first epoch. No run has earlier cuts.")
    return lines
