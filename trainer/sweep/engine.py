"""The local engine: points from the ledger into child processes, a slot each, until there is nothing left to do."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.errors import SweepError
from trainer.signals import StopRequest
from trainer.sweep.child import Child, Train, train
from trainer.sweep.ledger import BEAT_SECONDS, Claim, Ledger
from trainer.sweep.points import Checked, Entry, Point
from trainer.sweep.status import Attempt, Progress, progress

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 10
_SECONDS_TO_SAVE = 60  # a child that was asked to stop finishes its step and writes its checkpoint


@dataclass(frozen=True)
class Look:
    """What there is to see of a sweep while it runs."""

    progress: Progress
    running: Mapping[str, str]  # run -> device
    seconds_left: float | None
    stopping: bool = False


Watch = Callable[[Look], None]


@dataclass
class _Slot:
    """A place for one child at a time."""

    device: str
    env: Mapping[str, str]
    claim: Claim | None = None
    child: Child | None = None
    stopped_early: bool = False
    last_value: float | None = None
    asked_to_stop: float | None = None  # when
    epochs_reported: set[int] = field(default_factory=set[int])


class Engine:
    """Runs a checked sweep; `entry_of` is for the points that a bayes search comes to on the way.

    `watch` is called whenever something has changed, and every few seconds.
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
    ) -> None:
        self._checked = checked
        self._sweep = checked.sweep
        self._ledger = ledger
        self._folder = folder
        self._entry_of = entry_of
        self._slots = [
            _Slot(devices[n % len(devices)], {**env, **device_env(devices[n % len(devices)])}) for n in range(jobs)
        ]
        self._watch = watch
        self._target = target
        self._failed = set[str]()  # points that are not tried again by this controller
        self._beaten = 0.0
        self._looked = 0.0

    def run(self, *, retry: bool) -> tuple[Progress, int | None]:
        """(how far it came, the signal that ended it). Children never outlive it."""
        self._ledger.release_lost()
        self._ledger.enqueue(self._entries(), retry=retry)
        with StopRequest() as stop:
            try:
                while self._step(stopping=stop()):
                    time.sleep(_POLL_SECONDS)
            finally:
                self._abandon()
        return self._progress(), stop.signal

    def _step(self, *, stopping: bool) -> bool:
        """One round over the slots; False when nothing runs and nothing is left to start."""
        changed = False
        for slot in self._slots:
            if slot.claim is None and not stopping:
                changed |= self._fill(slot)
            if slot.claim is not None:
                changed |= self._tend(slot, stopping=stopping)
        now = time.monotonic()
        if now - self._beaten > BEAT_SECONDS:
            self._beaten = now
            self._keep_alive(stopping=stopping)
        if changed or now - self._looked > _LOOK_SECONDS:  # a look reads the whole ledger
            self._looked = now
            self._watch(self._look(stopping=stopping))
        return any(slot.claim for slot in self._slots) or (changed and not stopping)

    def _fill(self, slot: _Slot) -> bool:
        claim = self._ledger.claim(self._entry_of)
        if claim is None:
            return False
        slot.claim, slot.stopped_early, slot.last_value, slot.asked_to_stop = claim, False, None, None
        slot.epochs_reported = set()
        slot.child = Child(self._folder / claim.run, claim.point.words, slot.env, target=self._target)
        return True

    def _tend(self, slot: _Slot, *, stopping: bool) -> bool:
        """Start, watch, stop or settle the child of a slot; True where it has ended."""
        assert slot.claim and slot.child
        if stopping or slot.stopped_early:
            self._ask_to_stop(slot)
        ended = slot.child.poll()
        if self._sweep.file.early_terminate and not slot.stopped_early:
            slot.stopped_early = self._hopeless(slot)
        if ended is None:
            return False
        state, summary, message = ended
        self._settle(slot, "stopped" if slot.stopped_early and state == "interrupted" else state, summary, message)
        return True

    def _ask_to_stop(self, slot: _Slot) -> None:
        assert slot.child
        if slot.asked_to_stop is None:
            slot.asked_to_stop = time.monotonic()
            slot.child.stop()
        elif time.monotonic() - slot.asked_to_stop > _SECONDS_TO_SAVE:
            slot.child.kill()

    def _hopeless(self, slot: _Slot) -> bool:
        """Tell the ledger of new epochs; True once early termination has seen enough."""
        assert slot.claim and slot.child and self._sweep.file.metric
        for row in slot.child.new_rows():
            value, epoch = row.get(self._sweep.file.metric.name), row["epoch"]
            if value is None or epoch != int(epoch) or epoch in slot.epochs_reported:
                continue
            slot.epochs_reported.add(epoch)
            slot.last_value = value
            if self._ledger.report(slot.claim, int(epoch), value):
                return True
        return False

    def _settle(self, slot: _Slot, state: Any, summary: Mapping[str, Any], message: str) -> None:
        assert slot.claim
        metric = self._sweep.file.metric
        value = summary.get(metric.name) if metric else None
        if state == "stopped":
            value = slot.last_value if value is None else value
        self._ledger.finish(slot.claim, state, value, message)
        if state not in ("finished", "stopped"):
            self._failed.add(slot.claim.point.key)
        slot.claim = slot.child = None

    def _keep_alive(self, *, stopping: bool) -> None:
        lost = self._ledger.beat([slot.claim for slot in self._slots if slot.claim])
        for slot in self._slots:
            if slot.claim in lost and slot.child:  # this controller was silent for so long that another has taken over
                slot.child.kill()
                slot.claim = slot.child = None
        if not stopping:
            self._ledger.release_lost()
            self._ledger.enqueue([entry for entry in self._entries() if entry.point.key not in self._failed])

    def _entries(self) -> Sequence[Entry]:
        return self._ledger.entries() if self._sweep.file.method == "bayes" else self._checked.entries

    def _abandon(self) -> None:
        """What is still running when the loop has broken: a second Ctrl-C, or a bug."""
        for slot in self._slots:
            if slot.claim and slot.child:
                slot.child.kill()
                self._ledger.finish(slot.claim, "interrupted")

    def _progress(self) -> Progress:
        return progress_of(self._checked, self._ledger.attempts())

    def _look(self, *, stopping: bool) -> Look:
        now = self._progress()
        each = self._ledger.seconds_a_point()
        left = now.count("waiting", "running", "missing", "interrupted")
        running = {slot.claim.run: slot.device for slot in self._slots if slot.claim}
        return Look(now, running, each and each * left / len(self._slots), stopping)


def progress_of(checked: Checked, attempts: Sequence[Attempt]) -> Progress:
    """Of a grid or a random search its points in order; of a bayes search those that it has come to."""
    sweep = checked.sweep
    points = [entry.point for entry in checked.entries] or list({a.point.key: a.point for a in attempts}.values())
    return progress(points, attempts, varied=sweep.varied, metric=sweep.file.metric)


def device_env(device: str) -> dict[str, str]:
    """What makes a child see this device and no other: its config says `auto` or `cuda`, and is the same on each.

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
    visible = outer.split(",") if outer else None  # of a scheduler's allotment, cuda:0 is the first
    if visible is not None and int(number) >= len(visible):
        raise SweepError(f"--devices: {device}: CUDA_VISIBLE_DEVICES={outer} shows only {len(visible)}")
    return {"CUDA_VISIBLE_DEVICES": visible[int(number)] if visible else number}
