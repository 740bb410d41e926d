"""What a sweep says: a table on a terminal, a line for each change elsewhere."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.landscape.progress import ProgressDisplay
from trainer.sweep.engine import Snapshot
from trainer.sweep.file import parse_sweep
from trainer.sweep.live import SweepView
from trainer.sweep.points import Point
from trainer.sweep.status import Attempt, progress

POINTS = [Point({"seed": seed}) for seed in (0, 1, 2)]


LISTS = [[["/d/a.npz"], ["/d/b.npz"]], [["init", "norm"], ["norm", "init"]], [":car:", ":bug:"]]


def snapshot(*values: float, seconds_left: float | None = None) -> Snapshot:
    text = "method: grid\nmetric: {name: test/accuracy}\nparameters: {seed: {values: [0, 1, 2]}}"
    attempts = [Attempt(POINTS[i], "finished", value, f"s{i}") for i, value in enumerate(values)]
    return Snapshot(progress(POINTS, attempts, sweep=parse_sweep(text, Path("s.yaml"))), {}, seconds_left)


def test_what_an_earlier_controller_has_done_is_counted_and_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepView("s") as view:
        view.show(snapshot(0.5))
        view.show(snapshot(0.5))
        view.show(snapshot(0.5, 0.75, seconds_left=754))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["1 of 3 done", "s1: finished"]
    assert "test/accuracy 75.00%; 2 of 3 done" in lines[1] and lines[1].endswith(", about 13 min left")


def test_a_run_that_begins_has_a_line_with_its_device_if_one_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """Before: `s0: auto`, which says nothing."""
    with SweepView("s") as view:
        view.show(replace(snapshot(), running={"s0": "auto", "s1": "cuda:1"}))
    assert capsys.readouterr().err.splitlines() == ["s0: begun", "s1: begun on cuda:1"]


@pytest.mark.parametrize("values", LISTS, ids=["paths", "words", "colons"])
def test_a_label_is_no_markup_of_the_table(
    values: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: [/d/a.npz] ended the sweep, as a tag that nothing opens, and [init] was hidden as one."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = f"method: grid\nmetric: {{name: test/accuracy}}\nparameters: {{k: {{values: {json.dumps(values)}}}}}"
    points = [Point({"k": value}) for value in values]
    with SweepView("s[a]") as view:
        view.show(Snapshot(progress(points, [], sweep=parse_sweep(text, Path("s.yaml"))), {}, None))
    said = capsys.readouterr().err
    assert "s[a]" in said
    for point in points:
        assert point.label(["k"]) in said


def test_a_title_is_no_markup_of_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressDisplay("surface of runs/[/a]", 2) as watched:
        watched.advance("[b]")
    said = capsys.readouterr().err
    assert "surface of runs/[/a]" in said and "[b]" in said
