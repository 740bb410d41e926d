"""The engine: it runs points of the ledger, one a slot, until nothing is left to do.

Each is a child process here, or on a machine of a cluster.
"""

import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from trainer.errors import SweepError, UserError
from trainer.runs.chance import tests_in
from trainer.runs.folder import note_status
from trainer.runs.history import is_finite
from trainer.signals import SECONDS_TO_SAVE, StopRequest
from trainer.sweep.child import Child, LostError, Running, Train, train
from trainer.sweep.ledger import Claim, Ledger
from trainer.sweep.own_parts import words_at
from trainer.sweep.points import Checked, Entry, Point
from trainer.sweep.status import DONE, ENDED, JUDGED, Attempt, Progress, State, progress
from trainer.sweep.storage import BEAT_SECONDS
from trainer.sweep.time_left import seconds_left

_POLL_SECONDS = 0.1  # longest time that a slot is empty
_IDLE_SECONDS = 2  # after which an empty slot asks the ledger again
_WATCH_SECONDS = 10  # between two readings of the whole ledger
_MOST_LOSSES = 10  # of one point, after which a run is taken to be what ends its machines


@dataclass(frozen=True)
class Snapshot:
    """State of a sweep while it runs."""

    progress: Progress
    running: Mapping[str, str]  # run -> device
    seconds_left: float | None
    stopping: bool = False


Watch = Callable[[Snapshot], None]


class Cluster(Protocol):
    """Machines that run points."""

    def room(self) -> int:
        """Return how many runs there may be at once, now."""
        ...

    def start(self, folder: Path, overrides: Sequence[str], env: Mapping[str, str]) -> Running:
        """Start a run. It may wait for a machine."""
        ...


@dataclass
class _Run:
    """A point that is running."""

    claim: Claim
    child: Running
    stopped_early: bool = False
    last_epoch: int = 0  # that the ledger knows
    last_value: float | None = None
    asked_to_stop: float | None = None  # when
    began: float = field(default_factory=time.monotonic)


@dataclass
class _Slot:
    """Room for one run at a time."""

    device: str
    env: Mapping[str, str]
    run: _Run | None = None
    last: Child | None = None  # whose process may take the next run

    def dismiss(self) -> None:
        """End a process that waits for a run."""
        last, self.last = self.last, None
        if last:
            last.dismiss()


class Engine:
    """Runs a checked sweep. `entry_of` makes entries of the points that a search proposes.

    `watch` is called after each change, and every few seconds. `wanted` are the points to run, in this order, if not
    all. At the `deadline`, a value of `time.monotonic`, runs save and end. A search begins no point that would take
    longer than is left. With a `cluster`, its room takes the place of `jobs`.
    """

    def __init__(
        self,
        checked: Checked,
        ledger: Ledger,
        folder: Path,
        *,
        entry_of: Callable[[Point], Entry],
        jobs: int,
        devices: Sequence[str],
        env: Mapping[str, str],
        watch: Watch,
        target: Train = train,
        wanted: Sequence[Entry] | None = None,
        deadline: float = math.inf,
        cluster: Cluster | None = None,
    ) -> None:
        self._checked = checked
        self._wanted = checked.entries if wanted is None else wanted
        self._deadline = deadline
        self._sweep = checked.sweep
        self._ledger = ledger
        self._folder = folder
        self._entry_of = entry_of
        self._cluster = cluster
        self._env = env
        self._slots = [
            _Slot(devices[n % len(devices)], {**env, **device_env(devices[n % len(devices)])})
            for n in range(0 if cluster else jobs)
        ]
        self._watch = watch
        self._target = target
        file = self._sweep.file
        self._reports = bool(file.metric and (file.early_terminate or file.method == "bayes"))
        self._failed = set[str]()  # points that this controller does not try again
        self._losses = Counter[str]()  # of points whose machine has gone
        self._beaten = 0.0
        self._asked_in_vain = -math.inf
        self._watched = 0.0

    def run(self, *, retry: bool) -> tuple[Progress, int | None]:
        """Return (progress, the signal that ended it). No child outlives it."""
        self._ledger.release_lost()
        self._ledger.enqueue(self._entries(), retry=retry)
        with StopRequest() as stop:
            try:
                while self._step(stopping=stop() or time.monotonic() > self._deadline):
                    time.sleep(_POLL_SECONDS)
            finally:
                self._abandon()
        return self._progress(), stop.signal

    def _step(self, *, stopping: bool) -> bool:
        """Visit every slot once. Return False if nothing runs and nothing is left to start."""
        changed = False
        if self._cluster:
            self._fit(self._cluster.room())
        for slot in self._slots:
            if (
                slot.run is None
                and not stopping
                and (changed or time.monotonic() > self._asked_in_vain + _IDLE_SECONDS)
            ):
                slot.run = self._next(slot)
                changed |= slot.run is not None
            if slot.run and self._tend(slot.run, stopping=stopping):
                slot.last = slot.run.child if isinstance(slot.run.child, Child) else None
                slot.run, changed = None, True
                self._asked_in_vain = -math.inf  # what has ended may ask for another run: every slot asks again
        now = time.monotonic()
        if now - self._beaten > BEAT_SECONDS:
            self._beaten = now
            changed |= self._keep_alive(stopping=stopping)
        if changed or now - self._watched > _WATCH_SECONDS:
            self._watched = now
            self._watch(self._snapshot(stopping=stopping))
        return any(slot.run for slot in self._slots) or (changed and not stopping)

    def _fit(self, room: int) -> None:
        """Make as many slots as there is room. What runs goes on."""
        busy = [slot for slot in self._slots if slot.run]
        free = [slot for slot in self._slots if not slot.run][: max(0, room - len(busy))]
        more = room - len(busy) - len(free)
        self._slots = [*busy, *free, *(_Slot("ray", self._env) for _ in range(more))]

    def _next(self, slot: _Slot) -> _Run | None:
        claim = self._ledger.claim(self._entry_of) if self._has_time() else None
        if claim is None:
            self._asked_in_vain = time.monotonic()
            slot.dismiss()
            return None
        overrides = words_at(claim.point, self._sweep)
        folder = self._folder / claim.run
        if self._cluster:
            child = self._cluster.start(folder, overrides, slot.env)
        else:
            child = Child(folder, overrides, slot.env, target=self._target, stays=True, after=slot.last)
            slot.last = None
        return _Run(claim, child, last_epoch=claim.last_epoch)

    def _has_time(self) -> bool:
        """Return whether a search has time for another point. A grid's points were chosen so that they fit."""
        if self._sweep.file.method == "grid" or math.isinf(self._deadline):
            return True
        return time.monotonic() + (self._seconds_a_point() or 0.0) < self._deadline

    def _tend(self, run: _Run, *, stopping: bool) -> bool:
        """Watch a run, stop it or settle it. Return True if it has ended."""
        if stopping or run.stopped_early:
            self._ask_to_stop(run)
        try:
            ended = run.child.poll()
        except LostError as error:
            self._lose(run, str(error), stopping=stopping)
            return True
        if self._reports and not run.stopped_early:
            run.stopped_early = self._report(run)
        if ended is None:
            return False
        state, summary, message = ended
        self._settle(run, "stopped" if run.stopped_early and state == "interrupted" else state, summary, message)
        return True

    def _lose(self, run: _Run, message: str, *, stopping: bool) -> None:
        """Settle a run whose machine has gone. Its point is queued again."""
        key = run.claim.point.key
        self._losses[key] += 1
        self._settle(run, "stopped" if run.stopped_early else "interrupted", {}, message)
        if not (stopping or run.stopped_early or self._losses[key] > _MOST_LOSSES):
            self._failed.discard(key)
            self._ledger.enqueue([entry for entry in self._entries() if entry.point.key == key])

    def _ask_to_stop(self, run: _Run) -> None:
        if run.asked_to_stop is None:
            run.asked_to_stop = time.monotonic()
            run.child.stop()
        elif time.monotonic() - run.asked_to_stop > SECONDS_TO_SAVE:
            run.child.kill()

    def _report(self, run: _Run) -> bool:
        """Report new epochs to the ledger. Return True if early termination ends the run."""
        assert self._sweep.file.metric
        for row in run.child.new_rows():
            value, epoch = row.get(self._sweep.file.metric.name), row["epoch"]
            if not isinstance(value, int | float):
                continue
            if epoch != int(epoch) or epoch <= run.last_epoch:  # within an epoch, or already reported
                continue
            run.last_epoch, run.last_value = int(epoch), value
            if self._ledger.report(run.claim, run.last_epoch, value):
                return True
        return False

    def _settle(self, run: _Run, state: State, summary: Mapping[str, Any], message: str) -> None:
        metric = self._sweep.file.metric
        value = summary.get(metric.name) if metric else None
        if not is_finite(value):  # the metric may name a text
            value = run.last_value if state == "stopped" else None
        if state == "stopped":  # the run itself knows only that it was interrupted
            with contextlib.suppress(UserError):  # as on a full disk: the ledger has it
                note_status(self._folder / run.claim.run, state)
        judged = state == "finished" and metric is not None and metric.name == JUDGED
        tests = tests_in(self._folder / run.claim.run) if judged else None
        self._ledger.finish(run.claim, state, value, message, tests=tests)
        if state not in DONE:
            self._failed.add(run.claim.point.key)

    def _keep_alive(self, *, stopping: bool) -> bool:
        """Show that this controller is alive and take over from dead ones. Return True if a slot has become free."""
        lost = self._ledger.beat([slot.run.claim for slot in self._slots if slot.run])
        for slot in self._slots:
            if slot.run and slot.run.claim in lost:  # silent for so long that another controller took it over
                slot.run.child.kill()
                slot.run = None
        if not stopping:
            self._ledger.release_lost()
            self._ledger.enqueue([entry for entry in self._entries() if entry.point.key not in self._failed])
        return bool(lost)

    def _entries(self) -> Sequence[Entry]:
        return self._ledger.entries() if self._sweep.proposes else self._wanted

    def _abandon(self) -> None:
        """Kill what is still running after a second Ctrl-C or a bug, and end what waits for a run."""
        runs = [slot.run for slot in self._slots if slot.run]
        for run in runs:
            run.child.kill()
        for run in runs:  # the next controller sees what cannot be noted now
            with contextlib.suppress(Exception):
                self._ledger.finish(run.claim, "interrupted")
        for slot in self._slots:
            slot.dismiss()

    def _progress(self) -> Progress:
        return progress_of(self._checked, self._ledger.attempts())

    def _snapshot(self, *, stopping: bool) -> Snapshot:
        now = self._progress()
        running = {slot.run.claim.run: slot.device for slot in self._slots if slot.run}
        return Snapshot(now, running, self._seconds_left(now), stopping)

    def _seconds_left(self, now: Progress) -> float | None:
        each = self._seconds_a_point()
        if not each:
            return None
        runs = [slot.run for slot in self._slots if slot.run and not slot.run.stopped_early]
        shares = [max(0.0, 1 - (time.monotonic() - run.began) / each) for run in runs]
        left = now.total - now.count(*ENDED) if self._sweep.proposes else self._left(now)
        return seconds_left(each, shares, left - sum(bool(slot.run) for slot in self._slots), len(self._slots))

    def _left(self, now: Progress) -> int:
        """Return how many points that are wanted here have not ended."""
        wanted = {entry.point.key for entry in self._wanted}
        return sum(each.state not in ENDED for each in now.points if each.point.key in wanted)

    def _seconds_a_point(self) -> float | None:
        seconds = self._ledger.seconds().values()
        return sum(seconds) / len(seconds) if seconds else None


def progress_of(checked: Checked, attempts: Sequence[Attempt]) -> Progress:
    return progress([entry.point for entry in checked.entries], attempts, sweep=checked.sweep)


def device_env(device: str) -> dict[str, str]:
    """Return the environment in which a child sees only this device. Its config says `auto` or `cuda` on each.

    Raises SweepError for a name that is no device.
    """
    kind, _, number = device.partition(":")
    if device == "auto":
        return {}
    if device == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    if kind != "cuda" or not number.isdigit():
        raise SweepError(f"--devices: {device!r}: expected cpu, cuda:0, cuda:1, ...")
    outer = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = outer.split(",") if outer else None  # cuda:0 is the first of a scheduler's allotment
    if visible is not None and int(number) >= len(visible):
        raise SweepError(f"--devices: {device}: CUDA_VISIBLE_DEVICES={outer} shows only {len(visible)}")
    return {"CUDA_VISIBLE_DEVICES": visible[int(number)] if visible else number}
