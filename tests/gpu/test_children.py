"""Two points of a sweep share a device: children of a server that has imported torch, timm and the trainer."""

from pathlib import Path

import pytest
import yaml
from on_device import DEFAULT, ON_CPU, in_a_child, state_at_end
from run_ends import assert_same_end

from trainer.sweep.child import Child, warm_up

pytestmark = pytest.mark.gpu

ONE_EPOCH = [*DEFAULT, "train.epochs=1", "train.batch_size=64"]


def test_two_children_of_one_server_finish_on_one_device(tmp_path: Path, device_run: list[str]) -> None:
    warm_up()
    children = [in_a_child(tmp_path / f"{seed}", [*device_run, *ONE_EPOCH, f"seed={seed}"]) for seed in range(2)]
    assert [state_at_end(child) for child in children] == ["finished", "finished"]


def test_a_sweep_of_two_points_at_once_finishes_on_one_device(tmp_path: Path, few_images: list[str]) -> None:
    pytest.importorskip("optuna", reason="a sweep's ledger needs it")
    from trainer.api import run_sweep

    path = tmp_path / "two.yaml"
    metric = {"name": "test/accuracy", "goal": "maximize"}
    path.write_text(yaml.safe_dump({"method": "grid", "metric": metric, "parameters": {"seed": {"values": [0, 1]}}}))
    place = "cpu" if ON_CPU else "cuda:0"
    progress = run_sweep(path, [*few_images, *ONE_EPOCH], runs=tmp_path / "runs", jobs=2, devices=[place])
    assert progress.complete
    assert [status.state for status in progress.points] == ["finished", "finished"]


def test_a_process_that_stays_gives_its_second_run_the_bits_of_one_in_its_own(
    tmp_path: Path, device_run: list[str]
) -> None:
    warm_up()
    words, env = [*device_run, *ONE_EPOCH], {"OMP_NUM_THREADS": "1"}
    first = Child(tmp_path / "first", [*words, "seed=1"], env, stays=True)
    assert state_at_end(first) == "finished"
    second = Child(tmp_path / "second", [*words, "seed=2"], env, stays=True, after=first)
    assert state_at_end(second) == "finished"
    assert second._process is first._process  # else it is compared with its like
    second.dismiss()
    assert state_at_end(in_a_child(tmp_path / "own", [*words, "seed=2"])) == "finished"
    assert_same_end(tmp_path / "second", tmp_path / "own")
