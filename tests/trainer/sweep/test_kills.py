"""The real trainer under the local engine, killed again and again: the end is that of an undisturbed sweep."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pretend.watch import children_of, wait_for

from trainer.sweep.local import progress_here

CLI = [sys.executable, "-m", "trainer.cli", "sweep", "run"]


RATES = {"optimizer.lr": {"values": [0.001, 0.002]}, "seed": {"values": [0, 1]}}


def write_sweep(folder: Path, run: Sequence[str], swept: Mapping[str, Any]) -> Path:
    path = folder / "kills.yaml"
    fixed = {word.partition("=")[0]: {"value": yaml.safe_load(word.partition("=")[2])} for word in run}
    metric = {"name": "test/accuracy", "goal": "maximize"}
    command = ["${env}", "trainer", "train", "${args_no_hyphens}"]
    content = {"method": "grid", "project": "p", "metric": metric, "command": command, "parameters": {**fixed, **swept}}
    path.write_text(yaml.safe_dump(content))
    return path


def results(runs: Path) -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Rows and summary of each run, without what a clock says and how much memory its last process took."""

    def timeless(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if not key.startswith(("time/", "memory/")) and key != "ended"}

    return {
        folder.parent.name: (
            [timeless(json.loads(line)) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()],
            timeless(json.loads(folder.read_text())),
        )
        for folder in sorted(runs.glob("kills/*/summary.json"))
    }


Pause = Callable[[random.Random], object]
"""Waits for a random moment."""


def kill_at_random(command: Sequence[str], sweep: Path, kills: int, pause: Pause) -> None:
    """Kill a controller so many times at a random moment, and before every second time one of its children."""
    draw = random.Random(0)
    for kill in range(kills):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not children_of(sweep) and process.poll() is None:
                time.sleep(0.05)
            assert process.poll() is None, f"all was done before kill {kill}"
            pause(draw)
            if victims := (children_of(sweep) if kill % 2 else []):
                os.kill(draw.choice(victims), signal.SIGKILL)
                time.sleep(draw.uniform(0, 3))  # for the other one to go on
            process.kill()


def up_to(seconds: float) -> Pause:
    return lambda draw: time.sleep(draw.uniform(0, seconds))


def epochs_of(sweep: Path, most: int) -> Pause:
    """Wait until up to so many further epochs are logged, and a moment: fast and slow machines are killed alike."""

    def logged() -> int:
        return sum(path.read_bytes().count(b"\n") for path in sweep.glob("*/metrics.jsonl"))

    def pause(draw: random.Random) -> None:
        end = logged() + draw.randint(0, most)
        wait_for(lambda: logged() >= end)
        time.sleep(draw.uniform(0, 1))

    return pause


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_result_and_no_point_is_run_twice(
    tmp_path: Path, small_run: list[str]
) -> None:
    path = write_sweep(tmp_path, [*small_run, "train.epochs=1000", "train.checkpoint_every=20"], RATES)
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    subprocess.run([*CLI, str(path), "--runs", str(calm), "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)

    kill_at_random([*CLI, str(path), "--runs", str(stormy), "--jobs", "2"], stormy / "kills", 20, up_to(6))
    subprocess.run([*CLI, str(path), "--runs", str(stormy), "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)

    assert results(stormy) == results(calm)
    progress = progress_here(path, runs=stormy, storage=None)
    assert progress.complete
    assert [sum(a.state == "finished" for a in status.attempts) for status in progress.points] == [1, 1, 1, 1]
    assert not children_of(stormy / "kills")


@pytest.mark.slow
def test_ten_kills_of_a_sequential_sweep_change_no_decision(tmp_path: Path) -> None:
    """Small networks on shapes10: one rate learns nothing, and two are too near to each other to be told apart."""
    run = ["model.name=fastresnet9", "model.width=4", "model.ghost_size=25", "data.name=shapes10", "train.device=cpu",
           "data.train_size=500", "train.batch_size=50", "train.epochs=6", "train.evaluate_every=3",
           "optimizer.name=adam", "sink.wandb.mode=disabled"]  # fmt: skip
    swept = {"optimizer.lr": {"values": [1e-5, 0.005, 0.006]}, "seed": {"values": [0, 1, 2]}}
    path = write_sweep(tmp_path, run, swept)
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    wish = ["--jobs", "2", "--json", "--until", "decided", "--question", "all-pairs", "--at-most", "5"]

    def command(runs: Path) -> list[str]:
        return [*CLI, str(path), "--runs", str(runs), *wish]

    undisturbed = json.loads(subprocess.run(command(calm), check=True, stdout=subprocess.PIPE).stdout)
    kill_at_random(command(stormy), stormy / "kills", 10, epochs_of(stormy / "kills", 8))
    end = json.loads(subprocess.run(command(stormy), check=True, stdout=subprocess.PIPE).stdout)

    for key in ("decisions", "open", "failed", "runs", "design"):
        assert end[key] == undisturbed[key], key
    assert {decision["verdict"] for decision in end["decisions"]} == {"different", "open"}
    assert results(stormy) == results(calm)
    assert all(sum(run["state"] == "finished" for run in point["runs"]) == 1 for point in end["points"])
    assert not children_of(stormy / "kills")
