"""Outcomes: numbers of a run, or of the runs that differ in their learning rate alone, that a sweep can ask about.

    test/accuracy              a number of a run's summary
    runs/grad_cosine/mean      KEY/HOW of the rows of a run: mean, median, max or min over its measured steps
    runs/loss/width            of the band over the learning rates (`trainer.runs.bands`): width, level, high, or range
    rates/decades              how far apart the lowest and the highest rate are between which every rate trains
    runs/loss/width@0-4000     the same of some steps only; @early and @late are the first and the last fifth
    lengths/seconds@0.94       what a run costs that reaches this accuracy, by runs of several lengths, or in /epochs

A number is compared by its ratio unless it can be 0 or below: cosines, accuracies and decades have differences. So have
lengths, whose question is how many seconds something is worth.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.explain import did_you_mean
from trainer.errors import UserError
from trainer.runs.bands import RATE, Band
from trainer.runs.history import is_finite
from trainer.statistics.seedwise import Scale
from trainer.text import metric_words

SUMMARY = (
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "val/accuracy_best",
    "test/loss",
    "test/accuracy",
    "test/accuracy_best",
    "test/accuracy_plain",
    "test/accuracy_at_best_val",
    "headline/accuracy",
    "time/train_seconds",
    "time/images_per_second",
    "time/to_target_seconds",
    "epochs_to_target",
)
"""Numbers of a run's summary that a sweep's metric can name."""
DECADES = "rates/decades"
LENGTHS = {"lengths/seconds": "charged seconds", "lengths/epochs": "epochs"}
EPOCHS = "train.epochs"
_RANGE = "probe/loss_range"
_KEYS = {  # a key of the rows -> (in words, unit)
    "runs/loss": ("loss", "nats"),
    "runs/grad_norm": ("gradient's norm", ""),
    "runs/grad_distance": ("distance of successive gradients", ""),
    "runs/grad_cosine": ("cosine of successive gradients", ""),
    "runs/beta": ("beta of successive steps", ""),
    "runs/lipschitz": ("gradient difference over distance", ""),
    "probe/grad_variance": ("variance of the gradient", ""),
    "probe/loss": ("loss at the measured steps", "nats"),
    "probe/grad_norm": ("gradient's norm at the measured steps", ""),
    "probe/loss_min": ("least loss along a gradient", "nats"),
    "probe/loss_max": ("greatest loss along a gradient", "nats"),
    _RANGE: ("range of the loss along a gradient", "nats"),
    "probe/grad_l2_min": ("least change of the gradient along itself", ""),
    "probe/grad_l2_max": ("greatest change of the gradient along itself", ""),
    "probe/grad_cosine_min": ("least cosine along a gradient", ""),
    "probe/grad_cosine_max": ("greatest cosine along a gradient", ""),
    "probe/beta": ("beta along a gradient", ""),
    "probe/lipschitz": ("Lipschitz estimate along a gradient", "nats"),
    "probe/shift_l2": ("covariate shift", ""),
    "probe/shift_cosine": ("cosine of covariate shift", ""),
}
_OF_RUN: dict[str, tuple[str, Callable[[NDArray[np.float64]], np.floating]]] = {
    "mean": ("mean", np.mean),
    "median": ("median", np.median),
    "max": ("greatest", np.max),
    "min": ("least", np.min),
}
_OF_RATES: dict[str, tuple[str, Callable[[Band], float]]] = {
    "width": ("mean width of the {} band over learning rates", lambda band: band.mean_width),
    "level": ("mean {} over learning rates and steps", lambda band: band.mean_level),
    "high": ("mean over steps of the greatest {} of a learning rate", lambda band: band.mean_high),
    "range": ("range of the {} over steps and learning rates", lambda band: float(band.high.max() - band.low.min())),
}
_IN_A_BAND = {"runs/grad_norm": "gradient norm", "runs/grad_distance": "gradient distance", "runs/beta": "beta"}
_IN_A_BAND |= {"runs/loss": "loss", "runs/grad_cosine": "gradient cosine", "runs/lipschitz": "Lipschitz estimate"}
_FIFTH = 0.2
STANDARD = (
    *("runs/loss/width", "runs/loss/level", "runs/grad_distance/width", "runs/grad_distance/level", "runs/beta/high"),
    *("runs/beta/mean", "runs/grad_cosine/mean", "runs/lipschitz/max", DECADES),
    *("probe/loss_range/median", "probe/grad_l2_max/median", "probe/grad_cosine_min/median", "probe/beta/median"),
    *("probe/lipschitz/median", "probe/shift_l2/median", "probe/shift_cosine/median", "probe/grad_variance/mean"),
)
"""Outcomes that a page shows of every table whose runs have measured them, in this order."""


@dataclass(frozen=True)
class Trace:
    """One key of a run's rows: T measured steps. A key with layers has an entry for each of them."""

    steps: NDArray[np.int64]  # [T] ascending
    values: NDArray[np.float64]  # [T] NaN where the value was not finite


@dataclass(frozen=True)
class Outcome:
    """A number that is compared, by its name. `read_outcome` checks the name."""

    name: str

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """Return (key of the rows, how, window), such as ("runs/loss", "width", "early")."""
        plain, _, window = self.name.partition("@")
        key, _, how = plain.rpartition("/")
        return key, how, window

    @property
    def key(self) -> str:
        return self._parts[0]

    @property
    def of_summary(self) -> bool:
        return self.name in SUMMARY

    @property
    def over_rates(self) -> bool:
        """Return whether runs at several learning rates have it together."""
        return self.name == DECADES or (not self.of_summary and self._parts[1] in _OF_RATES)

    @property
    def over_lengths(self) -> bool:
        """Return whether runs of several lengths have it together."""
        return self.name.partition("@")[0] in LENGTHS

    @property
    def over(self) -> str | None:
        """Return the key in which the runs differ that have it together, None for a number of one run."""
        return RATE if self.over_rates else EPOCHS if self.over_lengths else None

    @property
    def target(self) -> float:
        """Return the accuracy that a length is to reach, as a fraction."""
        return float(self._parts[2])

    @property
    def scale(self) -> Scale:
        """Return how two of these numbers are compared."""
        signed = self.name == DECADES or "cosine" in self.name or "accuracy" in self.name or self.over_lengths
        return "difference" if signed else "ratio"

    @property
    def seedwise(self) -> bool:
        """Return whether two of these numbers rise and fall together where their runs have the same seed.

        What probes measure step by step does, by the order of the data. What a run ends with does not, as its accuracy,
        nor a cost read off accuracies.
        """
        return not (self.of_summary or self.over_lengths)

    @property
    def percent(self) -> bool:
        return self.of_summary and "accuracy" in self.name

    @property
    def unit(self) -> str:
        if self.name == DECADES:
            return "decades"
        if self.name.startswith("lengths/epochs"):
            return "epochs"
        return "%" if self.percent else "s" if "seconds" in self.name else _KEYS.get(self.key, ("", ""))[1]

    @property
    def words(self) -> str:
        """Return the outcome in words, such as `mean width of the loss band over learning rates`."""
        if self.name == DECADES:
            return "span of the learning rates that train"
        if self.of_summary:
            return metric_words(self.name)
        if self.over_lengths:
            return f"cost of {100 * self.target:g}% test accuracy in {LENGTHS[self.name.partition('@')[0]]}"
        key, how, window = self._parts
        of_run = f"{_OF_RUN[how][0]} {_KEYS[key][0]}" if how in _OF_RUN else ""
        said = of_run or _OF_RATES[how][0].format(_IN_A_BAND[key])
        ours = {"": "", "early": ", first fifth of the steps", "late": ", last fifth of the steps"}
        return said + ours.get(window, f", steps {window}")

    def of_run(self, traces: Mapping[str, Trace]) -> float | None:
        """Return the number of one run, or None if its rows do not have it."""
        key, how, _ = self._parts
        trace = traces.get(key)
        if trace is None or how not in _OF_RUN:
            return None
        values = trace.values[np.isfinite(trace.values) & self._inside(trace.steps)]
        return float(_OF_RUN[how][1](values)) if len(values) else None

    def was_measured(self, traces: Mapping[str, Trace]) -> bool:
        """Return whether a run has rows that this is read from, in its window."""
        trace = traces.get(self.key)
        return trace is not None and bool(self._inside(trace.steps).any())

    def of_band(self, band: Band) -> float | None:
        """Return the number of a band over learning rates, or None without a step of the window."""
        cut = band.at(band.steps[self._inside(band.steps)])
        return _OF_RATES[self._parts[1]][1](cut) if len(cut.steps) else None

    def _inside(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return [T] which steps belong to the window."""
        window = self._parts[2]
        if not window or not len(steps):
            return np.ones(len(steps), dtype=bool)
        if window in ("early", "late"):
            first, last = int(steps[0]), int(steps[-1])
            share = (steps - first) / max(1, last - first)
            return share <= _FIFTH if window == "early" else share >= 1 - _FIFTH
        low, _, high = window.partition("-")
        return (steps >= int(low)) & (steps <= (int(high) if high else math.inf))


BAND_KEYS = tuple(dict.fromkeys(Outcome(name).key for name in STANDARD if Outcome(name).over_rates and name != DECADES))
"""Keys of the rows that pages make bands over learning rates of. Archives keep each of their steps."""
WALK_KEYS = ("probe/loss", "probe/loss_min", "probe/loss_max", "probe/grad_l2_min", "probe/grad_l2_max", "probe/beta")
"""Keys of the rows that pages draw along gradients. Archives keep each of their steps, too: they are few."""
TRACED = tuple(_KEYS)
"""Keys of the rows of which an archive may have each step."""


def read_outcome(name: str) -> Outcome:
    """Return an outcome by its name. Raises UserError, one line, for any other name."""
    plain, at, window = name.partition("@")
    known = [*SUMMARY, DECADES, *LENGTHS, *(f"{key}/{how}" for key in _KEYS for how in (*_OF_RUN, *_of_band(key)))]
    if plain not in known:
        raise UserError(f"no outcome is called {plain!r}{did_you_mean(plain, known)}")
    if plain in LENGTHS:
        if not _is_share(window):
            raise UserError(f"{name!r}: it needs an accuracy between 0 and 1 after @, such as {plain}@0.94")
        return Outcome(name)
    low, dash, high = window.partition("-")
    steps = low.isdigit() and dash and (not high or (high.isdigit() and int(low) <= int(high)))
    if at and (plain in (*SUMMARY, DECADES) or not (window in ("early", "late") or steps)):
        raise UserError(f"{name!r}: after @ come early, late, or steps such as 0-4000, of a key of the rows")
    return Outcome(name)


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def _of_band(key: str) -> Iterable[str]:
    return _OF_RATES if key.startswith("runs/") else ()


def traces_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Trace]:
    """Return the keys that outcomes read, from all rows of a run."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            key = "/".join(name.split("/", 2)[:2])
            if key in _KEYS:
                _append(found, key, row["step"], value)
        low, high = row.get("probe/loss_min"), row.get("probe/loss_max")
        if is_finite(low) and is_finite(high):
            _append(found, _RANGE, row["step"], high - low)
    return {key: Trace(np.array(steps, dtype=np.int64), np.array(values)) for key, (steps, values) in found.items()}


def _append(found: dict[str, tuple[list[int], list[float]]], key: str, step: int, value: Any) -> None:
    steps, values = found.setdefault(key, ([], []))
    steps.append(int(step))
    values.append(float(value) if is_finite(value) else math.nan)


def decades(trained: Mapping[float, bool]) -> float:
    """Return log10(highest / lowest) of the longest stretch of neighbouring rates that all train.

    `trained` has, by learning rate, whether its run trained. One rate alone spans 0 decades. So does none: without
    these seeds the mean would be of survivors.
    """
    spans: list[float] = []
    low: float | None = None
    for rate in sorted(trained):
        low = (rate if low is None else low) if trained[rate] else None
        if low is not None:
            spans.append(math.log10(rate / low))
    return max(spans, default=0.0)
