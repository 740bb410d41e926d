"""The points of a sweep. A point is one value for each key, and becomes one run."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.config.overrides import write_override
from trainer.errors import SweepError
from trainer.runs.groups import SEED, identity, label
from trainer.sweep.file import Sweep
from trainer.sweep.space import MOST_POINTS, Choice, Constant, draw, grid, size_of, whole


@dataclass(frozen=True)
class Point:
    """Swept values by flat dotted key, constants included, in W&B's order."""

    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return a text that identifies the point.

        It is the same after JSON has made 1 of 1.0, and for a seed "1". A run without a seed has seed 0.
        """
        return identity({**self.values, SEED: whole(self.values.get(SEED, 0))})

    @property
    def configuration_key(self) -> str:
        """Return a text that identifies the configuration of the point: its values without the seed."""
        return identity({key: value for key, value in self.values.items() if key != SEED})

    @property
    def overrides(self) -> list[str]:
        """Return `KEY=VALUE` overrides for `trainer train`, from which exactly these values are read."""
        return [write_override(key, value) for key, value in self.values.items()]

    def label(self, varied: list[str]) -> str:
        """Return what distinguishes this point: `cosine, lr=0.1, seed=2`."""
        return label({key: self.values[key] for key in varied if key in self.values})

    def slug(self, varied: list[str]) -> str:
        """Return what distinguishes this point as a file name: `cosine-s2`."""
        parts = [("s" if key == SEED else "") + _short(self.values[key]) for key in varied if key in self.values]
        parts = [re.sub(r"(?<=\d)e\+", "e", re.sub(r"(?<![\w.])-(?=[\d.])", "minus", part)) for part in parts]
        return re.sub(r"[^A-Za-z0-9.]+", "-", "_".join(parts).replace("_", "-")).strip("-.")[:60] or "point"


@dataclass(frozen=True)
class Entry:
    """A point to run. `run` names its folder, `config` is the hash of its resolved config."""

    point: Point
    run: str
    config: str


@dataclass(frozen=True)
class Checked:
    """A sweep whose points are all possible. Of a search that proposes them, samples were tried."""

    sweep: Sweep
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]


def points_of(sweep: Sweep) -> list[Point]:
    """Return all points of a grid, or the `run_cap` points of a random search, always the same ones.

    A search that proposes them as it runs has none in advance. Raises SweepError for a search without an end.
    """
    if sweep.file.method == "grid":
        total = min(size_of(sweep.space), sweep.file.run_cap or MOST_POINTS + 1)
        if total > MOST_POINTS:
            size = f"{size_of(sweep.space):,}"
            raise SweepError(f"{sweep.path}: parameters: a grid of {size} points; add run_cap, or list fewer values")
        if sweep.file.run_cap is not None and sweep.added_seeds:
            return _capped_with_seeds(sweep, sweep.file.run_cap)
        return [Point(values) for values in grid(sweep.space, cap=sweep.file.run_cap)]
    if sweep.file.run_cap is None:
        raise SweepError(f"{sweep.path}: run_cap: {sweep.file.method} never ends without it; add run_cap: 20")
    return [] if sweep.proposes else sample(sweep, sweep.file.run_cap)


def _capped_with_seeds(sweep: Sweep, cap: int) -> list[Point]:
    """Return the points that `run_cap` leaves of the file's grid, and their configurations with the added seeds."""
    space = dict(sweep.space)
    if own := tuple(seed for seed in space[SEED].choices if seed not in sweep.added_seeds):
        space[SEED] = Choice(own)
    else:
        space.pop(SEED)
    kept = list(grid(space, cap=cap))
    kinds = {identity({**values, SEED: None}): values for values in kept}
    if (total := len(kept) + len(kinds) * len(sweep.added_seeds)) > MOST_POINTS:
        raise SweepError(f"{sweep.path}: parameters: a grid of {total:,} points; add fewer seeds, or lower run_cap")
    more = [{**values, SEED: seed} for seed in sweep.added_seeds for values in kinds.values()]
    return [Point({key: values[key] for key in sweep.space}) for values in [*(kept if own else ()), *more]]


def sample(sweep: Sweep, count: int) -> list[Point]:
    """Return up to `count` different points, the same on every machine and every day, and with any overrides.

    A constant of the file takes a draw, as it always has. One that an override adds takes none.
    """
    drawn = {key: parameter for key, parameter in sweep.space.items() if key not in sweep.added_keys}
    added = {
        key: one.value for key, one in sweep.space.items() if key in sweep.added_keys and isinstance(one, Constant)
    }
    rng = random.Random(sweep.name)
    points: dict[str, Point] = {}
    count = min(count, size_of(sweep.space) or count, MOST_POINTS)
    for _ in range(100 * count):  # some of the space's points may be unlikely
        point = Point({**{key: draw(parameter, rng) for key, parameter in drawn.items()}, **added})
        points.setdefault(point.key, point)
        if len(points) == count:
            break
    return list(points.values())


def _short(value: Any) -> str:
    return ",".join(map(_short, value)) if isinstance(value, list | tuple) else "null" if value is None else str(value)
