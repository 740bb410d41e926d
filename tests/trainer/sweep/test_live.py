"""What a sweep says on a terminal that is none: a line for each change."""

from pathlib import Path

import pytest

from trainer.sweep.engine import Snapshot
from trainer.sweep.file import parse_sweep
from trainer.sweep.live import SweepView
from trainer.sweep.points import Point
from trainer.sweep.status import Attempt, progress

POINTS = [Point({"seed": seed}) for seed in (0, 1, 2)]


def snapshot(*values: float) -> Snapshot:
    text = "method: grid\nmetric: {name: test/accuracy}\nparameters: {seed: {values: [0, 1, 2]}}"
    attempts = [Attempt(POINTS[i], "finished", value, f"s{i}") for i, value in enumerate(values)]
    return Snapshot(progress(POINTS, attempts, sweep=parse_sweep(text, Path("s.yaml"))), {}, None)


def test_what_an_earlier_controller_has_done_is_counted_and_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepView("s") as view:
        view.show(snapshot(0.5))
        view.show(snapshot(0.5))
        view.show(snapshot(0.5, 0.75))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["1 of 3 done", "s1: finished"]
    assert "test/accuracy 75.00%; 2 of 3 done" in lines[1]
