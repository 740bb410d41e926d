"""Whole rounds of seeds, across sweeps, within a time: `trainer sweep run A.yaml B.yaml --for 9m`.

A round is every configuration of a sweep with one seed. What does not fit in the time that is left is not begun, so
each table stays balanced. What is begun and not finished in time saves, and comes first the next time.
"""

import contextlib
import datetime
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from trainer.errors import SweepError, UserError
from trainer.published import rows as published_rows
from trainer.runs.folder import read_config, read_summary
from trainer.sweep.check import entry_of
from trainer.sweep.engine import Watch
from trainer.sweep.local import LocalSweep
from trainer.sweep.order import seed_rounds
from trainer.sweep.pilot import PilotError
from trainer.sweep.points import Entry, sample
from trainer.sweep.status import DONE, ENDED, Progress
from trainer.text import duration_text

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FOR_A_VERDICT = 3  # seeds of each configuration (docs/statistics.md)


def read_duration(text: str) -> float:
    """Return the seconds of `90s`, `9m` or `1h30m`. Raises SweepError for any other text, and for nothing at all."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if "".join(map("".join, parts)) != text or not (seconds := sum(float(n) * _UNITS[unit] for n, unit in parts)):
        raise SweepError(f"--for: {text!r}: expected a time, such as 90s, 9m or 1h30m")
    return seconds


def seconds_until(text: str, now: float) -> float:
    """Return the seconds from `now`, a Unix time, until the local clock next shows HH:MM. Raises SweepError.

    A clock that is changed shows some times twice. One that it leaves out is as long after midnight as on other days.
    """
    try:
        time = datetime.time.fromisoformat(text)
    except ValueError:
        near = get_close_matches(text.lower(), ["decided"])
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SweepError(f"--until: {text!r}: expected decided, or a time of day such as 04:30{hint}") from None
    if time.tzinfo:
        raise SweepError(f"--until: {text!r}: the clock is that of this machine; leave the zone out")
    here = datetime.datetime.fromtimestamp(now)  # without a zone, which would have today's offset tomorrow, too
    shown = [datetime.datetime.combine(here + datetime.timedelta(days), time) for days in range(3)]
    moments = [moment for each in shown for moment in _moments(each) if each > here or _is_shown(each, moment)]
    return min(moment - now for moment in moments if moment > now)


def _moments(shown: datetime.datetime) -> tuple[float, float]:
    """Return when the local clock shows a time: twice the same, but for the hour that a clock put back repeats."""
    first, second = (shown.replace(fold=fold).timestamp() for fold in (0, 1))
    return first, max(first, second)  # of a time that is left out, the second is earlier


def _is_shown(time: datetime.datetime, moment: float) -> bool:
    return datetime.datetime.fromtimestamp(moment) == time


@dataclass(frozen=True)
class Spent:
    """Outcome of a time that sweeps were run for."""

    progress: tuple[Progress, ...]  # of each sweep
    skipped: tuple[str, ...]  # names of sweeps whose first steps cannot be taken
    signal: int | None  # that ended it


@dataclass(frozen=True)
class Round:
    """The rest of one round of seeds, or of a search."""

    sweep: LocalSweep
    number: int  # from 0
    entries: tuple[Entry, ...]  # none of a Bayesian search, which proposes them
    seconds: float  # predicted; of one run of a search
    begun: bool  # some of its points were run, or are
    rows: int  # published rows of its sweep, if it has too few seeds for a verdict
    count: int  # runs

    def __str__(self) -> str:
        count = "1 run" if self.count == 1 else f"{self.count} runs"
        method = self.sweep.checked.sweep.file.method
        if method != "grid":
            return f"{self.sweep.name}: up to {count} of a {method} search, about {duration_text(self.seconds)} each"
        return f"{self.sweep.name}, seed {self.number + 1} of each point: {count}, about {duration_text(self.seconds)}"


Predict = Callable[[Entry], float]
"""Returns the seconds of a whole run."""


def next_round(
    sweep: LocalSweep, predict: Predict, *, jobs: int, retry: bool = False, tried: Collection[int] = ()
) -> Round | None:
    """Return the first round of a sweep that is not done, or None. `tried` are rounds that are left out.

    A search has no rounds: its points are one, and the predicted seconds are those of one point.
    """
    ended = (*(DONE if retry else ENDED), "running")
    state, measured = sweep.state(), mean_seconds(sweep)
    left = [entry for entry in sweep.entries if state.get(entry.point.key) not in ended]
    if sweep.checked.sweep.file.method != "grid":
        done = sum(each in ended for each in state.values())
        count = len(left) if sweep.entries else sweep.progress().total - done
        if tried or count <= 0:
            return None
        known = [*measured.values()] or [predict((left or any_points(sweep))[0])]
        return Round(sweep, 0, tuple(left), sum(known) / len(known), bool(state), 0, count)
    place = seed_rounds([entry.point for entry in sweep.checked.entries])
    left = [entry for entry in left if place[entry.point.key] not in tried]
    if not left:
        return None
    number = min(place[entry.point.key] for entry in left)
    entries = tuple(entry for entry in left if place[entry.point.key] == number)
    seconds = [
        (measured.get(entry.point.configuration_key) or predict(entry)) * _share_left(sweep, entry, state)
        for entry in entries
    ]
    begun = any(place.get(key) == number and each != "waiting" for key, each in state.items())
    count = sum(row.sweep == sweep.name for row in published_rows()) if number < _FOR_A_VERDICT else 0
    slots = [0.0] * jobs
    for taken in seconds:  # each point begins where there is room first
        slots[slots.index(min(slots))] += taken
    return Round(sweep, number, entries, max(slots), begun, count, len(entries))


def any_points(sweep: LocalSweep) -> list[Entry]:
    """Return a point that a Bayesian search may propose."""
    checked = sweep.checked.sweep
    return [entry_of(point, checked) for point in sample(checked, 1)]


def mean_seconds(sweep: LocalSweep) -> dict[str, float]:
    """Return the mean seconds of the runs of each configuration that finished here."""
    points = {entry.point.key: entry.point for entry in sweep.checked.entries}
    seconds: dict[str, list[float]] = {}
    for key, taken in sweep.seconds().items():
        seconds.setdefault(points[key].configuration_key if key in points else key, []).append(taken)
    return {key: sum(taken) / len(taken) for key, taken in seconds.items()}


def _share_left(sweep: LocalSweep, entry: Entry, state: Mapping[str, str]) -> float:
    """Return the share of a run's epochs that are still to come."""
    if state.get(entry.point.key) != "interrupted":
        return 1.0
    folder = sweep.folder / entry.run
    with contextlib.suppress(UserError):  # it was killed before it began
        return max(0.0, 1 - read_summary(folder).get("epoch", 0) / read_config(folder).train.epochs)
    return 1.0


def cheapest_first(round: Round) -> tuple[object, ...]:
    """Sort key: what is begun, then the sweep with the fewest seeds, then the cheapest."""
    return (not round.begun, round.number, round.seconds)


def most_rows_an_hour(round: Round) -> tuple[object, ...]:
    """Sort key: what is begun, then the sweep that gets most published rows to a verdict in an hour, then the cheapest.

    All rounds that a sweep lacks until its rows can have a verdict are taken to cost the same.
    """
    missing = max(1, _FOR_A_VERDICT - round.number)
    return (not round.begun, -round.rows / (missing * max(1.0, round.seconds)), round.number, round.seconds)


def run_for(
    sweeps: Sequence[LocalSweep],
    seconds: float,
    *,
    predict: Callable[..., float],
    rank: Callable[[Round], tuple[object, ...]] = cheapest_first,
    watch: Callable[[LocalSweep], AbstractContextManager[Watch]],
    say: Callable[[str], None],
    jobs: int,
    devices: Sequence[str],
    retry: bool = False,
) -> Spent:
    """Run rounds until no further one fits. `seconds` from now the runs that are left save and end.

    `watch` is entered for each round, and left at its end.

    A sweep whose first steps cannot be taken keeps no other from running.
    """
    deadline = time.monotonic() + seconds
    tried: dict[str, set[int]] = {sweep.name: set() for sweep in sweeps}
    known: dict[str, Round | None] = {}
    skipped: list[str] = []
    signal: int | None = None
    for sweep in sweeps:
        if sweep.packed.had:  # which may be all of it, or no round may fit
            sweep.begin()
    while not signal:
        for sweep in sweeps:
            if sweep.name not in known:
                ask = partial(predict, sweep=sweep)
                try:
                    known[sweep.name] = next_round(sweep, ask, jobs=jobs, retry=retry, tried=tried[sweep.name])
                except PilotError as error:
                    say(f"{sweep.name} is skipped: {error.problems[0]}")
                    known[sweep.name] = None
                    skipped.append(sweep.name)
        rounds = sorted((found for found in known.values() if found), key=rank)
        left = deadline - time.monotonic()
        chosen = next((found for found in rounds if found.seconds <= left), None)
        if chosen is None:
            if rounds and left > 0:
                say(f"{duration_text(left)} left, too little for {min(rounds, key=lambda found: found.seconds)}")
            break
        say(f"{chosen}; {duration_text(left)} left")
        name = chosen.sweep.name
        run = partial(chosen.sweep.run, wanted=chosen.entries, deadline=deadline)
        with watch(chosen.sweep) as show:
            _, signal = run(jobs=jobs, devices=devices, retry=retry, watch=show)
        tried[name].add(chosen.number)
        del known[name]
    return Spent(tuple(sweep.progress() for sweep in sweeps), tuple(skipped), signal)
