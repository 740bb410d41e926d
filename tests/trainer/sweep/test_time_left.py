"""How long a sweep still takes, at the time that a run has taken so far."""

from pathlib import Path
from typing import Any

import pytest
from pretend.controller import run
from pretend.watch import write_sweep

from trainer.sweep import engine
from trainer.sweep.engine import Engine, Snapshot
from trainer.sweep.time_left import seconds_left


@pytest.mark.parametrize(
    ("running", "waiting", "slots", "hours"),
    [
        ([1.0], 0, 8, 1.0),  # seven slots have nothing to do
        ([0.25], 0, 1, 0.25),
        ([0.5, 1.0], 0, 2, 1.0),  # never less than the run that takes longest
        ([0.5, 1.0], 1, 2, 1.5),
        ([0.5, 1.0], 2, 2, 2.0),
        ([0.5, 1.0], 5, 2, 3.5),
        ([0.5], 3, 2, 2.0),
        ([], 5, 2, 3.0),
        ([], 0, 2, 0.0),
        ([0.5, 0.5], 0, 1, 0.5),  # a cluster has become smaller
    ],
)
def test_each_run_begins_in_the_slot_that_is_free_first(running, waiting: int, slots: int, hours: float) -> None:
    """Before: all that was left, divided by all slots."""
    assert seconds_left(3600, running, waiting, slots) == 3600 * hours


def test_a_sweep_ends_no_sooner_than_a_run_that_has_just_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: an eighth of a run with eight slots, and the whole run up to its end with one."""
    seen: list[Snapshot] = []
    monkeypatch.setattr(Engine, "_seconds_a_point", lambda _: 3600.0)
    run(write_sweep(tmp_path, {"seed": {"values": [0]}}), tmp_path, jobs=8, watch=seen.append)
    assert seen[0].running and seen[0].seconds_left == pytest.approx(3600, abs=60)
    assert seen[-1].seconds_left == 0


def test_what_a_run_has_taken_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(Engine, "_seconds_a_point", lambda _: 1e-3)
    monkeypatch.setattr(engine, "_WATCH_SECONDS", 0)
    run(write_sweep(tmp_path, {"seed": {"values": [0, 1]}}), tmp_path, watch=seen.append)
    first = [each for each in seen if each.running and each.progress.count("finished") == 0]
    assert first[-1].seconds_left == pytest.approx(1e-3)  # the second run alone
