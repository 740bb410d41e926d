"""How far a sweep is: from its run folders, and from what a ledger says."""

import json
import re
import shutil
from pathlib import Path

import pytest

from trainer.report.live.now import FAILED, Progress, progress_of
from trainer.report.live.section import _epoch_of as section_epoch
from trainer.report.tables import read_table
from trainer.sweep.file import read_sweep
from trainer.sweep.points import Point, points_of
from trainer.sweep.status import Attempt, State, progress
from trainer.sweep.watched import Watched


def by_folders(folder: Path) -> Progress:
    return progress_of(read_table(folder), None)


def end_at(run: Path, epoch: float, seconds: float) -> None:
    row = {"epoch": epoch, "step": 1, "time/train_seconds": seconds}
    (run / "metrics.jsonl").write_text(json.dumps(row) + "\n" + '{"epoch": 99')  # the last row is being written


def test_counts_come_from_the_folders_where_there_is_no_ledger(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9, 0.91], "constant": [0.8]})
    summary = folder / "constant-s0" / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"diverged"'))
    (folder / "cosine-s1" / "summary.json").unlink()
    origin = folder / "cosine-s1" / "run.json"
    origin.write_text(origin.read_text().replace('"finished"', '"running"'))
    found = by_folders(folder)
    assert (found.total, found.count("finished"), found.count(*FAILED), found.waiting) == (30, 1, 1, 27)
    (running,) = found.running
    assert (running.seen.label, running.seen.seed, running.epochs) == ("cosine", 1, 25)


def test_a_run_that_runs_says_where_and_how_far(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9]})
    run = folder / "cosine-s0"
    (run / "summary.json").unlink()
    origin = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**origin, "status": "running", "node": {"name": "node7"}}))
    end_at(run, 2.5, 60.0)
    found = by_folders(folder)
    (running,) = found.running
    assert (running.epoch, running.where) == (2.5, "a test on node7")
    assert found.seconds_left == 60 / 2.5 * 25 * (0.9 + 29)  # at its own pace: no run has ended yet


def test_a_run_may_have_a_fraction_of_an_epoch(write_schedules) -> None:
    """Before: it was `starting` until its end."""
    folder = write_schedules({"cosine": [0.9]})
    run = folder / "cosine-s0"
    (run / "summary.json").unlink()
    origin = run / "run.json"
    origin.write_text(origin.read_text().replace('"finished"', '"running"'))
    config = run / "config.yaml"
    config.write_text(re.sub(r"epochs: 25\b", "epochs: 9.5", config.read_text()))
    end_at(run, 2.5, 60.0)
    (running,) = by_folders(folder).running
    assert running.epochs == 9.5
    assert section_epoch(running) == "2.5 of 9.5"


@pytest.mark.parametrize("names", [("z", "y", "x"), ("x", "y", "z"), ("y", "z", "x")])
def test_the_best_attempt_at_a_seed_is_shown_whatever_its_name(write_schedules, names: tuple[str, ...]) -> None:
    """Before: the last one by name, so that a crashed attempt hid the one that runs."""
    folder = write_schedules({"cosine": [0.9]})
    states = dict(zip(("running", "interrupted", "crashed"), names, strict=True))
    for state, name in states.items():
        run = shutil.copytree(folder / "cosine-s0", folder / name)
        (run / "summary.json").unlink()
        origin = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**origin, "status": state}))
    shutil.rmtree(folder / "cosine-s0")
    for state, name in states.items():
        (shown,) = [point for point in by_folders(folder).points if point.run]
        assert (shown.state, shown.run) == (state, name)
        shutil.rmtree(folder / name)


def ledger(folder: Path, *attempts: tuple[str, State, str, str]) -> Watched:
    """What a ledger would say: (schedule, state, run, message), all of seed 0."""
    sweep = read_sweep(folder / "lr_scheduler.yaml")
    points = points_of(sweep)
    by_name = {point.values["schedule.name"]: point for point in points if point.values["seed"] == 0}
    found = [Attempt(by_name[name], state, None, run, why) for name, state, run, why in attempts]
    return Watched(progress(points, found, sweep=sweep), {Point({"seed": 0}).key: 30.0})


def test_the_ledger_knows_crashes_that_left_no_folder(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9]})
    watched = ledger(
        folder,
        ("cosine", "finished", "cosine-s0", ""),
        ("step", "crashed", "step-s0", "killed by signal 9 in /home/ann/data"),
        ("linear", "running", "linear-s0", ""),
    )
    found = progress_of(read_table(folder), watched)
    (failed,) = [point for point in found.points if point.state in FAILED]
    assert (failed.label, failed.run, failed.why) == ("step", "step-s0", "killed by signal 9 in ~/data")
    assert (found.count("finished"), found.waiting, found.running[0].where) == (1, 27, "starting")
    assert found.seconds_left == 30 * (1 + 27)


def test_a_run_at_chance_has_failed_with_its_reason(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9], "constant": [0.1]})
    for run in folder.glob("*-s0"):
        config = run / "config.yaml"
        config.write_text(config.read_text())
    table = read_table(folder)
    chance = [run.name for each in table.configurations for run in each.failed]
    found = progress_of(table, ledger(folder, ("constant", "finished", "constant-s0", "")))
    states = {point.run: point for point in found.points if point.run}
    assert chance == ["constant-s0"]
    assert states["constant-s0"].state == "at chance" and "guessing" in states["constant-s0"].why


def test_a_run_at_chance_of_an_archive_has_failed_too(write_schedules) -> None:
    """Before: it was done, since its ledger names it with the archive's path."""
    folder = write_schedules({"cosine": [0.9], "constant": [0.1]})
    table, sweep = read_table(folder), read_sweep(folder / "lr_scheduler.yaml")
    archive = "/home/ann/had.jsonl.gz"
    had = [
        Attempt(point, "finished", 0.1, f"{archive}/{point.values['schedule.name']}-s0", archive=archive)
        for point in points_of(sweep)
        if point.values["schedule.name"] in ("cosine", "constant") and point.values["seed"] == 0
    ]
    found = progress_of(table, Watched(progress(points_of(sweep), had, sweep=sweep), {}))
    (failed,) = [point for point in found.points if point.state in FAILED]
    assert (failed.run, failed.state, found.count("finished")) == ("constant-s0", "at chance", 1)
    assert "guessing" in failed.why


def test_nothing_runs_and_nothing_is_left(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9]})
    shutil.rmtree(folder / "cosine-s0")
    found = by_folders(folder)
    assert (found.waiting, found.running, found.seconds_left) == (30, (), None)
