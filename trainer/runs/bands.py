"""Bands over sibling runs, which differ in their learning rate alone: the loss landscape of the reports.

Reports b35c, dfbc and a0b5 train once per rate, cut all curves to the shortest, and fill the area between the lowest
and the highest at each step. This shows how much training depends on its rate. How the loss varies along one gradient
is a different question (Santurkar et al. 2018, section 3.1 and figure 4), which `probe/*` measures.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.explain import did_you_mean
from trainer.errors import CheckpointError
from trainer.runs.groups import label, one_of_each_seed, telling_keys
from trainer.runs.history import History, is_finite

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

_MOST = np.iinfo(np.int64).max

RATE = "optimizer.lr"
"""The key in which the runs of a band differ."""


@dataclass(frozen=True)
class Band:
    """One metric of R sibling runs of one group and seed, at the S steps that two or more of them have."""

    group: str
    seed: int
    rates: tuple[float, ...]  # [R] ascending, with those of diverged runs
    steps: Steps  # [S]
    low: Floats  # [S]
    mean: Floats  # [S]
    high: Floats  # [S]
    diverged: dict[float, int]  # by rate, the last step of a diverged run, which is left out after it

    @property
    def mean_width(self) -> float:
        """Return the mean of high - low over the steps, in the metric's unit."""
        return float((self.high - self.low).mean())

    @property
    def area(self) -> float:
        """Return the integral of high - low over the steps by the trapezoid rule, in the metric's unit times steps."""
        width = self.high - self.low
        return float(((width[1:] + width[:-1]) / 2 * np.diff(self.steps)).sum())

    @property
    def mean_level(self) -> float:
        """Return the mean over the steps of the mean over the runs."""
        return float(self.mean.mean())

    @property
    def mean_high(self) -> float:
        """Return the mean of the highest value over the steps. For `runs/beta`, this is effective beta-smoothness."""
        return float(self.high.mean())

    def at(self, steps: Steps) -> "Band":
        """Return the band at those of `steps` that it has."""
        kept = np.isin(self.steps, steps)
        curves = (self.low[kept], self.mean[kept], self.high[kept])
        return Band(self.group, self.seed, self.rates, self.steps[kept], *curves, self.diverged)


@dataclass(frozen=True)
class Bands:
    bands: tuple[Band, ...]  # by group, then by seed
    notes: tuple[str, ...]  # diverged runs, missing runs, and runs that shorten the others


@dataclass(frozen=True)
class Curve:
    history: History
    group: str
    seed: int
    rate: float
    steps: Steps  # [T] of the rows that have the metric at all
    values: Floats  # [T], NaN where it is not finite
    cut: bool = False  # counts as diverged after its last finite value

    @property
    def name(self) -> str:
        return self.history.name

    @property
    def config(self) -> Mapping[str, Any]:
        return self.history.config

    @property
    def status(self) -> str:
        return self.history.status

    @property
    def last(self) -> int:
        """Return the last step with a finite value, or -1."""
        finite = self.steps[np.isfinite(self.values)]
        return int(finite[-1]) if len(finite) else -1

    @property
    def diverged(self) -> bool:
        """Return whether the run has the status `diverged`, or had no time to say so.

        The values of one that has not finished then end in one that is not finite. A finished run may end so, too: a
        cosine with a gradient of 0 is no number.
        """
        status = self.history.summary.get("status")
        said_by_values = status != "finished" and not np.isfinite(self.values[-1:]).all()
        return self.cut or status == "diverged" or said_by_values

    def covers(self, steps: Steps) -> NDArray[np.bool_]:
        """Return [S] at which of `steps` the run has a value or has already diverged."""
        covered = np.isin(steps, self.steps[np.isfinite(self.values)])
        return covered | (steps > self.last) if self.diverged else covered

    def at(self, steps: Steps) -> Floats:
        """Return [S] the values, NaN if there is none."""
        values = np.full(len(steps), np.nan)
        _, ours, asked = np.intersect1d(self.steps, steps, return_indices=True)
        values[asked] = self.values[ours]
        return values

    def __str__(self) -> str:
        return f"{self.group}, rate {self.rate:g}, seed {self.seed} ({self.history.name})"


def rate_of(config: Mapping[str, Any]) -> float | None:
    """Return the learning rate of a flat config, None for one that has no such number, which no run writes."""
    rate = config.get(RATE)
    return float(rate) if is_finite(rate) else None


def groups(histories: Sequence[History]) -> list[str]:
    """Return the label of each run's group. Runs of one group differ in learning rate and seed only.

    Runs that measured `runs/*` between other steps are of another group, although their training is the same. If all
    runs are of one group, its label is the network's name.
    """
    configs = [history.config for history in histories]
    keys = telling_keys(configs, over={RATE}, also="probe.drift.") or ["model.name"]
    return [label({key: config.get(key) for key in keys}) for config in configs]


def bands(histories: Sequence[History], key: str = "runs/loss", *, from_step: int = 0, gap: int = 1) -> Bands:
    """Return the bands of one metric, one per group and seed, from `from_step` on, at the steps that `gap` divides.

    Like the reports, bands have the steps that all runs have, up to the end of the shortest. A diverged run shortens
    nothing. It is left out after its last step and named in a note. Raises CheckpointError if no run has the metric.
    """
    curves, notes = _curves(histories, key)
    return bands_of(curves, key, notes, from_step=from_step, gap=gap)


def bands_of(
    curves: Sequence[Curve], key: str, notes: Sequence[str] = (), *, from_step: int = 0, gap: int = 1
) -> Bands:
    """Return the bands of curves of one metric, as `bands` does, with more notes. There must be a curve."""
    notes = [*notes]
    whole = [curve for curve in curves if not curve.diverged]
    ends = [int(curve.steps[-1]) for curve in whole]
    end = min(ends, default=None)
    if end is not None and end < max(ends):
        shortest = whole[ends.index(end)]
        how = shortest.history.summary.get("status", "has not ended")
        notes.append(f"cut to step {end}, the last step of {shortest}: {how}")
    siblings: dict[tuple[str, int], list[Curve]] = defaultdict(list)
    rates: dict[str, set[float]] = defaultdict(set)
    for curve in sorted(curves, key=lambda curve: curve.rate):
        siblings[curve.group, curve.seed].append(curve)
        rates[curve.group].add(curve.rate)
    everywhere = set[float]().union(*rates.values())
    for group, own in sorted(rates.items()):
        if absent := sorted(everywhere - own):
            notes.append(
                f"{group}: no run at rate {', '.join(f'{rate:g}' for rate in absent)}, which another group has"
            )
    filled: list[Band] = []
    for (group, seed), runs in sorted(siblings.items()):
        if missing := sorted(rates[group] - {curve.rate for curve in runs}):
            notes.append(f"{group}, seed {seed}: no run at rate {', '.join(f'{rate:g}' for rate in missing)}")
        notes += [f"diverged: {curve}, left out after step {curve.last}" for curve in runs if curve.diverged]
        if len(runs) < 2:
            notes.append(f"{group}, seed {seed}: one rate is not enough for a band")
            continue
        band = _band(runs, end=end, from_step=from_step, gap=gap)
        if len(band.steps):
            filled.append(band)
        else:
            notes.append(f"{group}, seed {seed}: no step of {key} is in two runs, so there is no band")
    return Bands(tuple(filled), tuple(notes))


def loss_bands(
    histories: Sequence[History], key: str = "runs/loss", *, from_step: int = 0, gap: int = 1
) -> list[dict[str, Any]]:
    """Return the bands as rows with `group`, `seed`, `step`, `low`, `mean` and `high`."""
    return rows_of(bands(histories, key, from_step=from_step, gap=gap).bands)


def rows_of(bands: Sequence[Band]) -> list[dict[str, Any]]:
    """Return bands as the rows of `loss_bands`."""
    return [
        {"group": band.group, "seed": band.seed, "step": step, "low": low, "mean": mean, "high": high}
        for band in bands
        for step, low, mean, high in zip(
            band.steps.tolist(), band.low.tolist(), band.mean.tolist(), band.high.tolist(), strict=True
        )
    ]


def probe_medians(histories: Sequence[History], *, from_step: int = 0) -> dict[tuple[str, int, str], float]:
    """Return the median of each of the paper's quantities, `probe/*`, by (group, seed, name).

    The median is over rates, steps and layers, without values that are not finite. `probe/feature_*` is not one of the
    paper's quantities. As in `bands`, one run of a seed counts, and one without a learning rate does not.
    """
    alike: dict[tuple[str, float], list[History]] = defaultdict(list)
    for group, history in zip(groups(histories), histories, strict=True):
        rate = rate_of(history.config)
        if rate is not None and any(map(_is_of_the_paper, chain.from_iterable(history.rows))):
            alike[group, rate].append(history)
    values: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for (group, _), same in alike.items():
        for history in one_of_each_seed(same)[0]:
            for row in (row for row in history.rows if row["step"] >= from_step):
                for key, value in row.items():
                    if _is_of_the_paper(key) and value is not None:
                        values[group, history.seed, "/".join(key.split("/")[:2])].append(value)
    return {key: float(np.median(measured)) for key, measured in sorted(values.items())}


def _is_of_the_paper(key: str) -> bool:
    return key.startswith("probe/") and not key.startswith("probe/feature_")


def _band(runs: Sequence[Curve], *, end: int | None, from_step: int, gap: int) -> Band:
    steps = np.unique(np.concatenate([curve.steps for curve in runs]))
    steps = steps[(steps >= from_step) & (steps % min(gap, _MOST) == 0)]
    if end is not None:
        steps = steps[steps <= end]
    steps = steps[np.all([curve.covers(steps) for curve in runs], axis=0)]
    values = np.stack([curve.at(steps) for curve in runs])  # [R, S]
    left = np.isfinite(values).sum(axis=0) > 1
    steps, values = steps[left], values[:, left]
    diverged = {curve.rate: curve.last for curve in runs if curve.diverged}
    rates = tuple(curve.rate for curve in runs)
    low, mean, high = np.nanmin(values, axis=0), np.nanmean(values, axis=0), np.nanmax(values, axis=0)
    return Band(runs[0].group, runs[0].seed, rates, steps, low, mean, high, diverged)


def _curves(histories: Sequence[History], key: str) -> tuple[list[Curve], list[str]]:
    """Return (the curve of each run that has the metric, a note on each run that lacks it or repeats a seed)."""
    notes: list[str] = []
    left_out = 0
    alike: dict[tuple[str, float], list[Curve]] = defaultdict(list)
    for group, history in zip(groups(histories), histories, strict=True):
        rate, rows = rate_of(history.config), [row for row in history.rows if key in row]
        if rate is None:
            left_out += 1
            notes.append(f"{history.folder}: no learning rate ({RATE}) in its config.yaml, so it is left out")
            continue
        steps = np.array([row["step"] for row in rows], dtype=np.int64)
        values = np.array([row[key] for row in rows], dtype=np.float64)  # None becomes NaN
        curve = Curve(history, group, history.seed, rate, steps, values)
        if rows:
            alike[group, curve.rate].append(curve)
        else:
            notes.append(f"no row has {key}: {curve}")
    if not alike:
        raise CheckpointError(notes[0] if len(histories) == left_out else _no_rows(histories, key))
    curves: list[Curve] = []
    for same in alike.values():
        counting, repeats = one_of_each_seed(same)
        curves += counting
        notes += [f"seed run twice: {first} counts, {other.name} does not" for other, first in repeats]
    return curves, notes


def _no_rows(histories: Sequence[History], key: str) -> str:
    where = f"{histories[0].folder} and {len(histories) - 1} more" if len(histories) > 1 else f"{histories[0].folder}"
    known = sorted({name for history in histories for row in history.rows for name in row} - {"epoch", "step"})
    cures = {"runs/": "probe.drift.every=1", "probe/": "probe.walk.every=30"}
    for prefix, override in cures.items():
        if key.startswith(prefix) and not any(name.startswith(prefix) for name in known):
            return f"{where}: no row has {key}; train with {override}"
    return f"{where}: no row has {key}{did_you_mean(key, known)}"
