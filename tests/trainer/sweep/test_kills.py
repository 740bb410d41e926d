"""The real trainer under the local engine, killed again and again: the end is that of an undisturbed sweep."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pretend.watch import children_of

from trainer.sweep.local import progress_here

CLI = [sys.executable, "-m", "trainer.cli", "sweep", "run"]


def write_sweep(folder: Path, small_run: Sequence[str]) -> Path:
    path = folder / "kills.yaml"
    fixed = {word.partition("=")[0]: {"value": yaml.safe_load(word.partition("=")[2])} for word in small_run}
    swept = {"optimizer.lr": {"values": [0.001, 0.002]}, "seed": {"values": [0, 1]}}
    metric = {"name": "test/accuracy", "goal": "maximize"}
    command = ["${env}", "trainer", "train", "${args_no_hyphens}"]
    content = {"method": "grid", "project": "p", "metric": metric, "command": command, "parameters": {**fixed, **swept}}
    path.write_text(yaml.safe_dump(content))
    return path


def results(runs: Path) -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Rows and summary of each run, without what a clock says."""

    def timeless(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if not key.startswith("time/") and key != "ended"}

    return {
        folder.parent.name: (
            [timeless(json.loads(line)) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()],
            timeless(json.loads(folder.read_text())),
        )
        for folder in sorted(runs.glob("kills/*/summary.json"))
    }


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_result_and_no_point_is_run_twice(
    tmp_path: Path, small_run: list[str]
) -> None:
    path = write_sweep(tmp_path, [*small_run, "train.epochs=1000", "train.checkpoint_every=20"])
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    subprocess.run([*CLI, str(path), "--runs", str(calm), "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)

    draw = random.Random(0)
    for kill in range(20):
        command = [*CLI, str(path), "--runs", str(stormy), "--jobs", "2"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not children_of(stormy / "kills") and process.poll() is None:
                time.sleep(0.05)
            assert process.poll() is None, f"all was done before kill {kill}"
            time.sleep(draw.uniform(0, 6))
            if victims := (children_of(stormy / "kills") if kill % 2 else []):
                os.kill(draw.choice(victims), signal.SIGKILL)
                time.sleep(draw.uniform(0, 3))  # for the other one to go on
            process.kill()
    subprocess.run([*CLI, str(path), "--runs", str(stormy), "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)

    assert results(stormy) == results(calm)
    progress = progress_here(path, runs=stormy, storage=None)
    assert progress.complete
    assert [sum(a.state == "finished" for a in status.attempts) for status in progress.points] == [1, 1, 1, 1]
    assert not children_of(stormy / "kills")
