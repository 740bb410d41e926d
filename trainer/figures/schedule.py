"""The learning rate over a run, as `schedule` and `optimizer.lr` declare it."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.run import RunConfig
from trainer.config.schedule import ReduceOnPlateau, Schedule
from trainer.figures.render import render
from trainer.schedules import RateSchedule

_WIDTH, _HEIGHT = 720, 320  # of the plot, in the spec's pixels
_TEXT_WIDTH = 125  # characters of a subtitle's line that fit over it
_SHORT_NUMBER = "datum.value && datum.value < 1e-3 ? format(datum.value, '.3~e') : format(datum.value, '~g')"


def draw_schedule(config: RunConfig, path: Path, *, steps_per_epoch: int) -> None:
    """Draw the whole run's rate into a PNG or SVG. Raises ConfigError for another suffix, DiskError."""
    render(schedule_spec(config, steps_per_epoch=steps_per_epoch), path)


def schedule_spec(config: RunConfig, *, steps_per_epoch: int) -> dict[str, Any]:
    """Vega-Lite: rate by epoch, in stairs where it moves by epochs; a plateau's with the earliest cuts there can be."""
    rates = rate_at_each_step(config, steps_per_epoch=steps_per_epoch)
    shown = [*_outline(rates, 2 * _WIDTH), len(rates)]  # the last step's rate holds to its end
    points = [{"epoch": step / steps_per_epoch, "rate": rates[min(step, len(rates) - 1)]} for step in shown]
    epochs, schedule = config.train.epochs, config.schedule
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {"text": f"{schedule.name}, {epochs} epochs", "subtitle": _subtitle(schedule)},
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": points},
        "mark": {
            "type": "line",
            "interpolate": "step-after" if schedule.interval == "epoch" else "linear",
            "strokeWidth": 2,
            "strokeJoin": "round",
        },
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "title": "epoch",
                  "scale": {"domain": [0, epochs], "nice": False},
                  "axis": {"grid": False, "tickMinStep": 1, "tickCount": 10, "labelFlush": False}},
            "y": {"field": "rate", "type": "quantitative", "title": "learning rate", "scale": {"zero": True},
                  "axis": {"tickCount": 5, "labelExpr": _SHORT_NUMBER}},
        },
    }  # fmt: skip


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
