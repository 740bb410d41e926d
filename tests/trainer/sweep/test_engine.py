"""The local engine over pretended training: who runs what, how often, and what is left after a kill."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from pretend import server
from pretend.controller import run
from pretend.train import accuracy
from pretend.watch import children_of, controller, noted, wait_for, write_sweep

from trainer.config import load_config
from trainer.config.show import to_yaml
from trainer.errors import SweepError
from trainer.runs.folder import config_hash
from trainer.sweep import gpus
from trainer.sweep.engine import device_env
from trainer.sweep.file import read_sweep
from trainer.sweep.gpus import devices_of, refuse_missing_gpus
from trainer.sweep.ledger import Ledger
from trainer.sweep.local import open_sweep
from trainer.sweep.order import Plan
from trainer.sweep.points import Entry, Point, points_of


def values_of(runs: Path, path: Path) -> dict[str, float | None]:
    """What the ledger knows of every point."""
    sweep = read_sweep(path)
    with Ledger(sweep, runs / "s", None, overrides=[]) as ledger:
        attempts = ledger.attempts()
    assert all(attempt.state == "finished" for attempt in attempts if attempt.value is not None)
    return {attempt.point.key: attempt.value for attempt in attempts if attempt.state == "finished"}


def expected(path: Path) -> dict[str, float]:
    points = points_of(read_sweep(path))
    return {point.key: accuracy(point.overrides, epoch=5) for point in points}


def test_every_point_runs_once_and_in_the_order_of_wandb_if_that_is_asked_for(tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    progress, stopped_by = run(path, tmp_path, plan=Plan("grid"))
    assert progress.complete
    assert stopped_by is None
    assert noted(tmp_path) == ["0.1-s0", "0.1-s1", "0.01-s0", "0.01-s1", "0.001-s0", "0.001-s1"]
    assert values_of(tmp_path, path) == expected(path)


def test_what_is_finished_is_not_run_again_and_what_failed_only_when_asked(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0, 13, 66]}})
    progress, _ = run(path, tmp_path, jobs=3)
    assert [status.state for status in progress.points] == ["finished", "crashed", "diverged"]
    assert progress.points[1].attempts[0].message == "RuntimeError: thirteen"
    again, _ = run(path, tmp_path)
    assert [len(status.attempts) for status in again.points] == [1, 1, 1]
    retried, _ = run(path, tmp_path, retry=True)
    assert [len(status.attempts) for status in retried.points] == [1, 2, 2]
    assert noted(tmp_path) == ["s0"]


def test_a_point_added_to_the_file_is_run_and_one_taken_out_is_reported(tmp_path: Path) -> None:
    run(write_sweep(tmp_path, {"seed": {"values": [0, 1]}}), tmp_path)
    progress, _ = run(write_sweep(tmp_path, {"seed": {"values": [1, 2]}}), tmp_path)
    assert progress.complete
    assert noted(tmp_path) == ["s0", "s1", "s2"]
    assert [status.point.values["seed"] for status in progress.foreign] == [0]


def test_two_controllers_at_once_run_no_point_twice(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": list(range(20, 32))}})
    with controller(path, tmp_path, jobs=2) as one, controller(path, tmp_path, jobs=2) as other:
        codes = one.wait(), other.wait()
    run(path, tmp_path)  # what the last of them was still running when the other left is done, too
    assert set(codes) <= {0, 1}, (tmp_path / "controller.log").read_text()
    assert sorted(noted(tmp_path)) == [f"s{seed}" for seed in range(20, 32)]
    assert noted(tmp_path, "twice.log") == []
    assert values_of(tmp_path, path) == expected(path)


def test_a_killed_controller_leaves_no_training_behind_and_its_points_go_on(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0, 1]}})
    with controller(path, tmp_path, jobs=2, PRETEND_HOLD="1") as process:
        wait_for(lambda: len(list(tmp_path.glob("s/*/checkpoint.json"))) == 2)
        process.kill()
        process.wait()
        wait_for(lambda: not children_of(tmp_path / "s"))
    saved = {folder.name: json.loads((folder / "checkpoint.json").read_text()) for folder in tmp_path.glob("s/s?")}
    assert min(saved.values()) >= 1
    progress, _ = run(path, tmp_path)
    assert progress.complete
    assert [[a.state for a in status.attempts] for status in progress.points] == [["finished", "interrupted"]] * 2
    assert sorted(noted(tmp_path)) == ["s0", "s1"]
    assert values_of(tmp_path, path) == expected(path)
    assert [len((tmp_path / "s" / name / "metrics.jsonl").read_text().splitlines()) for name in saved] == [5, 5]


def test_ctrl_c_lets_children_save_and_the_same_command_goes_on(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0, 1, 2]}})
    with controller(path, tmp_path, jobs=2, PRETEND_HOLD="1") as process:
        wait_for(lambda: len(list(tmp_path.glob("s/*/checkpoint.json"))) == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=180) == 130
    assert children_of(tmp_path / "s") == []
    status = {f.parent.name: json.loads(f.read_text())["status"] for f in tmp_path.glob("s/*/summary.json")}
    assert status == {"s0": "interrupted", "s1": "interrupted"}
    progress, _ = run(path, tmp_path)
    assert progress.complete
    assert sorted(noted(tmp_path)) == ["s0", "s1", "s2"]


def test_a_killed_child_is_reported_and_resumed_by_the_next_run(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0]}})
    with controller(path, tmp_path, PRETEND_HOLD="1") as process:
        wait_for(lambda: list(tmp_path.glob("s/*/checkpoint.json")))
        os.kill(children_of(tmp_path / "s")[0], signal.SIGKILL)
        assert process.wait(timeout=180) == 1
    progress, _ = run(path, tmp_path)
    assert [attempt.state for attempt in progress.points[0].attempts] == ["finished", "interrupted"]
    assert progress.points[0].attempts[1].message == "killed by signal 9"


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_after_kills_at_random_moments_every_point_is_finished_once(tmp_path: Path, kills: int) -> None:
    seeds = range(200, 210 if kills == 2 else 220)
    path = write_sweep(tmp_path, {"seed": {"values": [*seeds]}})
    draw = random.Random(0)
    for kill in range(kills):
        with controller(path, tmp_path, jobs=2, PRETEND_SECONDS="0.1") as process:
            before = len(noted(tmp_path))
            wait_for(lambda: children_of(tmp_path / "s") or process.poll() is not None)
            time.sleep(draw.uniform(0, 1.0))
            if children := (children_of(tmp_path / "s") if kill % 2 else []):
                os.kill(draw.choice(children), signal.SIGKILL)
                wait_for(lambda: len(noted(tmp_path)) > before or process.poll() is not None)  # noqa: B023
    progress, _ = run(path, tmp_path, jobs=2)
    assert progress.complete
    assert sorted(noted(tmp_path)) == [f"s{seed}" for seed in seeds]
    assert noted(tmp_path, "twice.log") == []
    assert values_of(tmp_path, path) == expected(path)
    assert Counter(attempt.state for s in progress.points for attempt in s.attempts)["finished"] == len(seeds)


def test_early_termination_stops_the_hopeless_and_lets_the_best_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETEND_SECONDS", "0.15")  # the engine looks fifty times a second here
    path = write_sweep(
        tmp_path, {"seed": {"values": list(range(8))}}, early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2}
    )
    progress, _ = run(path, tmp_path)
    assert progress.complete
    assert 2 <= progress.count("stopped") <= 6
    best = max(expected(path).items(), key=lambda item: item[1])
    assert progress.best
    assert (progress.best.point.key, progress.best.value) == best
    stopped = next(status for status in progress.points if status.state == "stopped")
    assert stopped.value is not None
    ends = {f.parent.name: json.loads(f.read_text())["status"] for f in tmp_path.glob("s/*/summary.json")}
    assert Counter(ends.values()) == Counter(status.state for status in progress.points), "as reports and archives read"
    again, _ = run(path, tmp_path)
    assert again.count("stopped") == progress.count("stopped"), "what was stopped early is done"


def test_a_bayes_search_runs_as_many_points_as_its_cap_and_a_killed_one_goes_on(tmp_path: Path) -> None:
    space = {
        "optimizer.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
        "model.stem": {"values": [[3, 3], [7]]},
        "train.epochs": {"min": 1, "max": 9},
        "seed": {"value": 0},
    }
    path = write_sweep(tmp_path, space, method="bayes", run_cap=6)
    with controller(path, tmp_path, PRETEND_SECONDS="0.1") as process:
        wait_for(lambda: len(noted(tmp_path)) == 2)
        process.kill()
    progress, _ = run(path, tmp_path, jobs=2)
    assert progress.complete
    assert len(progress.points) == len(set(noted(tmp_path))) == len(noted(tmp_path)) == 6
    for status in progress.points:
        values = status.point.values
        assert 1e-4 <= values["optimizer.lr"] <= 1
        assert values["model.stem"] in ([3, 3], [7])
        assert values["train.epochs"] in range(1, 10)


def test_a_random_search_means_the_same_points_everywhere(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"min": 0.0, "max": 1.0}, "seed": {"value": 0}}
    path = write_sweep(tmp_path, space, method="random", run_cap=3)
    progress, _ = run(path, tmp_path)
    assert [status.point for status in progress.points] == points_of(read_sweep(path))
    assert progress.complete


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_larger_cap_asks_for_more_points_and_a_smaller_one_is_refused(tmp_path: Path, method: str) -> None:
    space = {"optimizer.lr": {"min": 0.1, "max": 1.0}, "seed": {"value": 0}}
    before, _ = run(write_sweep(tmp_path, space, method=method, run_cap=2), tmp_path)
    progress, _ = run(write_sweep(tmp_path, space, method=method, run_cap=4), tmp_path)
    assert progress.complete and len(progress.points) == 4
    assert [status.point for status in progress.points[:2]] == [status.point for status in before.points]
    with pytest.raises(SweepError, match=r"run_cap 4, not 3; a larger run_cap asks for more points; give --runs"):
        run(write_sweep(tmp_path, space, method=method, run_cap=3), tmp_path)


def test_a_sweep_that_was_begun_with_other_words_is_refused(tmp_path: Path) -> None:
    sweep = read_sweep(write_sweep(tmp_path))
    with Ledger(sweep, tmp_path / "s", None, overrides=["train.epochs=1"]):
        pass
    with pytest.raises(SweepError, match=r"was begun with overrides \['train.epochs=1'\], not \[\]"):
        Ledger(sweep, tmp_path / "s", None, overrides=[])


@pytest.mark.parametrize("lr", [0.1, 0.2])
def test_a_point_whose_config_has_changed_since_is_refused_and_one_hashed_otherwise_is_not(
    tmp_path: Path, lr: float
) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0]}})
    point = Point({"seed": 0})
    with Ledger(read_sweep(path), tmp_path / "s", None, overrides=[]) as ledger:
        ledger.enqueue([Entry(point, "s0-0", "0")])  # as no revision hashes it now
        claim = ledger.claim(lambda _: pytest.fail("a grid proposes nothing"))
        assert claim
        ledger.finish(claim, "interrupted")
    begun, now = (load_config([f"optimizer.lr={rate}"]).config for rate in (0.1, lr))
    (tmp_path / "s" / "s0-0").mkdir()
    (tmp_path / "s" / "s0-0" / "config.yaml").write_text(to_yaml(begun))
    refused = pytest.raises(SweepError, match=r"was begun as config 0 and is .* now, since an own part,")
    with (
        Ledger(read_sweep(path), tmp_path / "s", None, overrides=[]) as ledger,
        refused if lr != 0.1 else nullcontext(),
    ):
        ledger.enqueue([Entry(point, f"s0-{config_hash(now)}", config_hash(now))])
        claim = ledger.claim(lambda _: pytest.fail("a grid proposes nothing"))
        assert claim and claim.run == "s0-0", "it goes on where its checkpoint is"


def test_a_point_that_only_waited_may_be_hashed_otherwise_by_the_next_revision(tmp_path: Path) -> None:
    sweep = read_sweep(write_sweep(tmp_path, {"seed": {"values": [0]}}))
    for digest in ("0", "1"):
        with Ledger(sweep, tmp_path / "s", None, overrides=[]) as ledger:
            ledger.enqueue([Entry(Point({"seed": 0}), f"s0-{digest}", digest)])


def test_a_sweep_whose_file_changes_before_its_turn_runs_as_it_was_checked(tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    asked = path.read_text()
    sweep = open_sweep(path, runs=tmp_path)
    path.write_text(f"{asked}description: another\n")
    sweep.begin()
    assert (tmp_path / "s" / "s.yaml").read_text() == asked
    path.unlink()  # before: a traceback, and no sweep after it ran
    sweep.begin()
    assert (tmp_path / "s" / "s.yaml").read_text() == asked


def test_gpus_are_counted_in_one_line_also_where_the_count_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    server.ready()
    monkeypatch.setattr(gpus, "_count", sys.exit)
    with pytest.raises(SweepError, match=r"^--devices: counting the GPUs here ended with exit code"):
        gpus.count_gpus()


def test_a_storage_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="--storage: nosuch://x: "):
        Ledger(read_sweep(write_sweep(tmp_path)), tmp_path / "s", "nosuch://x", overrides=[])


@pytest.mark.slow
def test_the_engine_takes_less_than_a_fiftieth_of_the_time_at_points_of_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETEND_SECONDS", "12")  # five of them a point
    looks: list[float] = []
    progress, _ = run(
        write_sweep(tmp_path, {"seed": {"values": [0, 1, 2]}}), tmp_path, watch=lambda _: looks.append(time.monotonic())
    )
    wall = looks[-1] - looks[0]  # from when the first one was begun: the engine's own start is once a sweep
    assert progress.complete
    assert wall < 1.02 * 180


def test_a_gpu_that_is_not_there_is_refused() -> None:
    """Before: the child took the CPU, without a word."""
    server.ready()
    with pytest.raises(SweepError, match=r"^--devices: cuda:99: torch sees \d+ CUDA devices here$"):
        refuse_missing_gpus(["cpu", "auto", "cuda:99"])


@pytest.mark.parametrize(
    ("text", "count", "devices"),
    [
        ("auto", 0, ["auto"]),
        ("auto", 1, ["auto"]),
        ("auto", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:1,cpu", 3, ["cuda:1", "cpu"]),
    ],
)
def test_auto_is_every_gpu(monkeypatch: pytest.MonkeyPatch, text: str, count: int, devices: list[str]) -> None:
    """Before: every child of a machine with eight took the first one."""
    monkeypatch.setattr(gpus, "count_gpus", lambda: count)
    monkeypatch.setattr(gpus, "may_have_cuda", lambda: True)
    assert devices_of(text) == devices
    monkeypatch.setattr(gpus, "may_have_cuda", lambda: False)  # then none are counted, which takes seconds
    monkeypatch.setattr(gpus, "count_gpus", pytest.fail)
    assert devices_of("auto") == ["auto"]


def test_a_metric_that_is_a_text_is_no_value_and_wedges_no_ledger(tmp_path: Path) -> None:
    """Before: the first run that ended left a ledger that every later command failed at."""
    path = write_sweep(tmp_path, {"seed": {"values": [0, 1]}}, metric={"name": "status"})
    progress, _ = run(path, tmp_path)
    assert progress.complete
    assert values_of(tmp_path, path) == {Point({"seed": seed}).key: None for seed in (0, 1)}


def test_an_end_that_names_a_text_is_noted_as_one_without_a_value(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0]}}, metric={"name": "status"})
    entry = Entry(Point({"seed": 0}), "s0", "0")
    with Ledger(read_sweep(path), tmp_path / "s", None, overrides=[]) as ledger:
        ledger.enqueue([entry])
        claim = ledger.claim(lambda _: entry)
        assert claim
        text = {"state": "finished", "value": "finished", "message": ""}
        ledger._storage.set_trial_user_attr(claim.trial, "outcome", text)  # as it was left before
    with Ledger(read_sweep(path), tmp_path / "s", None, overrides=[]) as ledger:
        ledger.release_lost()
        assert [(attempt.state, attempt.value) for attempt in ledger.attempts()] == [("finished", None)]


def test_a_device_is_shown_to_a_child_by_its_place_in_what_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device_env("cuda:1") == {"CUDA_VISIBLE_DEVICES": "1"}
    assert device_env("cpu") == {"CUDA_VISIBLE_DEVICES": ""}
    assert device_env("auto") == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert device_env("cuda:1") == {"CUDA_VISIBLE_DEVICES": "6"}
    with pytest.raises(SweepError, match=r"--devices: cuda:2: CUDA_VISIBLE_DEVICES=4,6 shows only 2"):
        device_env("cuda:2")
    with pytest.raises(SweepError, match="--devices: 'gpu': expected cpu, cuda:0, cuda:1"):
        device_env("gpu")
