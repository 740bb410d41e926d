"""The order in which the points of a grid run, and the seeds that each configuration has.

Under W&B the order is that of the keys, sorted, the last varying fastest. Here seeds vary slowest, so that a sweep that
is broken off is a balanced table.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from trainer.config.explain import did_you_mean
from trainer.config.overrides import canonical, flatten, read_overrides
from trainer.errors import SweepError
from trainer.runs.groups import SEED
from trainer.sweep.file import Sweep
from trainer.sweep.header import seeds_until
from trainer.sweep.points import Entry, Point
from trainer.sweep.space import MOST_POINTS, Choice

Order = Literal["seeds-first", "grid", "shuffled"]
_MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Plan:
    """The wishes of a user about the points of a sweep."""

    order: Order = "seeds-first"
    first: tuple[str, ...] = ()  # `KEY=VALUE`: such points run before all others
    seeds: tuple[int, ...] = ()  # these instead of the file's
    count: int = 0  # or so many: the file's, then the next whole numbers
    only: tuple[str, ...] = ()  # `KEY=VALUE`: only points with one of its values of each key

    def seeds_for(self, sweep: Sweep) -> tuple[int, ...]:
        """Return the seeds that are asked for, none for those of the file. A search draws its own."""
        if self.seeds or not self.count or sweep.file.method != "grid":
            return self.seeds
        return seeds_until(_seeds_of(sweep), self.count)


def seeds_run_first_on_wandb(sweep: Sweep) -> bool:
    """Return whether W&B, which sorts the keys and varies the last fastest, takes a configuration's seeds in turn."""
    varied = sorted(sweep.varied)
    return sweep.file.method == "grid" and SEED in varied and varied[0] != SEED


def read_order(text: str) -> Order:
    """Raises SweepError for a word that is no order."""
    for known in get_args(Order):
        if text == known:
            return known
    raise SweepError(f"--order: {text!r} is not an order{did_you_mean(text, get_args(Order))}")


def read_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds that `0-4,7` names, in its order. Raises SweepError if it names none."""
    seeds: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if high < low or high - low >= _MOST_SEEDS:
            raise SweepError(f"--seeds: {text!r}: expected seeds, such as 0-4 or 0-4,7")
        seeds |= dict.fromkeys(range(low, high + 1))
    return tuple(seeds)


def with_seeds(sweep: Sweep, more: Sequence[int]) -> Sweep:
    """Return a grid with more seeds than its own. Raises SweepError for a sweep that has no seeds of its own."""
    if not more:
        return sweep
    if sweep.file.method != "grid":
        raise SweepError(f"--seeds: {sweep.path} is a {sweep.file.method} search and draws its seeds; it is for grid")
    if any(word.startswith(f"{SEED}=") for word in sweep.fixed):
        raise SweepError(f"--seeds: the command of {sweep.path} sets the seed, too")
    known = _seeds_of(sweep)
    new = tuple(seed for seed in dict.fromkeys(more) if seed not in known)
    space = {**sweep.space, SEED: Choice((*known, *new))}
    space = {key: space[key] for key in sorted(space)}  # W&B's order
    return replace(sweep, space=space, added_seeds=(*sweep.added_seeds, *new))


def _seeds_of(sweep: Sweep) -> Sequence[int]:
    seeds = sweep.space[SEED].choices if SEED in sweep.space else ()
    if len(seeds) > MOST_POINTS:
        raise SweepError(f"{sweep.path}: parameters.seed: {len(seeds):,} seeds, to which none are added; list fewer")
    return seeds


def ordered(entries: Sequence[Entry], plan: Plan, sweep: Sweep) -> tuple[Entry, ...]:
    """Return the points of the plan in the order in which they run.

    Raises SweepError if `first` or `only` names no point.
    """
    if seeds := plan.seeds_for(sweep):
        entries = [entry for entry in entries if entry.point.values[SEED] in seeds]
    wanted = [_wanted("--first", word, entries, sweep) for word in plan.first]
    for alternatives in _by_key(plan.only, entries, sweep):
        entries = [entry for entry in entries if any(_has(entry.point, each) for each in alternatives)]
    if plan.only and not entries:
        raise SweepError(f"--only: {sweep.path} has no point with all of {', '.join(plan.only)}")
    rounds = seed_rounds([entry.point for entry in entries])
    match plan.order:
        case "seeds-first":
            found = sorted(entries, key=lambda entry: rounds[entry.point.key])
        case "grid":
            found = list(entries)
        case "shuffled":
            found = random.Random(sweep.name).sample(list(entries), len(entries))
    return tuple(sorted(found, key=lambda entry: not any(_has(entry.point, each) for each in wanted)))


def seed_rounds(points: Sequence[Point]) -> dict[str, int]:
    """Return how many points of its configuration come before each point, by the point's key."""
    seen = Counter[str]()
    rounds: dict[str, int] = {}
    for point in points:
        rounds[point.key] = seen[point.configuration_key]
        seen[point.configuration_key] += 1
    return rounds


def _by_key(words: Sequence[str], entries: Sequence[Entry], sweep: Sweep) -> list[list[Mapping[str, object]]]:
    """Return the values of `--only`, those of one key together. Raises SweepError if one names no point."""
    found: dict[tuple[str, ...], list[Mapping[str, object]]] = {}
    for word in words:
        values = _wanted("--only", word, entries, sweep)
        found.setdefault(tuple(values), []).append(values)
    return [*found.values()]


def _wanted(flag: str, word: str, entries: Sequence[Entry], sweep: Sweep) -> Mapping[str, object]:
    points = [entry.point for entry in entries]
    values = flatten(read_overrides([word]))
    for key in values:
        if key not in sweep.varied:
            raise SweepError(f"{flag}: {key}: {sweep.path} does not vary it{did_you_mean(key, sweep.varied)}")
    if not any(_has(point, values) for point in points):
        known = sorted({str(point.values[key]) for point in points for key in values if key in point.values})
        hint = did_you_mean(word.partition("=")[2], known)
        raise SweepError(f"{flag}: {word}: {sweep.path} has no such point{hint}")
    return values


def _has(point: Point, values: Mapping[str, object]) -> bool:
    return all(key in point.values and canonical(point.values[key]) == canonical(v) for key, v in values.items())
