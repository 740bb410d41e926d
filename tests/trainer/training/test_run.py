"""Whole runs: what they leave behind, that they repeat, and that a broken one ends as the unbroken one does."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from trainer.config import RunConfig, load_config
from trainer.data.sources import load_image_set
from trainer.errors import CheckpointError, ConfigError
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.history import read_history
from trainer.training.device import choose_compute
from trainer.training.loop import Loop
from trainer.training.run import build_parts, resume_run, start_run
from trainer.training.schedules import RateSchedule


def config_of(overrides: list[str]) -> RunConfig:
    return load_config(overrides).config


def rows(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock wrote."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith("time/")} for line in lines]


def state(folder: Path) -> dict[str, Any]:
    content = load_checkpoint(folder / "checkpoint.pt")
    for clocked in ("train_seconds", "latest"):
        content["counters"].pop(clocked)
    content.pop("sinks")  # where metrics.jsonl ends in bytes depends on how many digits its times have
    return content


def assert_same_end(folder: Path, unbroken: Path) -> None:
    assert rows(folder) == rows(unbroken)
    ours, theirs = leaves(state(folder)), leaves(state(unbroken))
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not same(ours[key], theirs[key])] == []


def leaves(content: Any, path: str = "") -> dict[str, Any]:
    """Every tensor and plain value in nested dicts and lists, by its place."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if inner is None:
        return {path: content}
    return {place: leaf for key, value in inner for place, leaf in leaves(value, f"{path}/{key}").items()}


def same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_run_leaves_its_folder_behind(tmp_path: Path, small_run: list[str]) -> None:
    result = start_run(
        config_of([*small_run, "data.val_fraction=0.25", "train.keep_best=true"]), runs=tmp_path, name="a"
    )
    folder = tmp_path / "a"
    assert result.folder == folder
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "best.pt", "checkpoint.pt", "config.yaml", "confusion.json", "metrics.jsonl",
        "pictures", "run.json", "summary.json",
    }  # fmt: skip
    summary, run = (json.loads((folder / name).read_text()) for name in ("summary.json", "run.json"))
    wanted = ["test/accuracy", "test/accuracy_best", "test/accuracy_plain", "test/loss", "train/accuracy",
              "val/accuracy", "time/train_seconds", "time/images_per_second", "model/parameters"]  # fmt: skip
    assert set(wanted) <= set(summary)
    assert (summary["status"], summary["step"], run["status"], run["seed"]) == ("finished", 15, "finished", 0)
    assert {"torch", "cifar-sweeps"} <= set(run["versions"])
    assert [row["epoch"] for row in rows(folder)] == [1, 2, 3]
    assert load_config(file=folder / "config.yaml", recipe="none").config == config_of(
        [*small_run, "data.val_fraction=0.25", "train.keep_best=true"]
    )


def test_the_confusion_counts_every_test_image_and_its_diagonal_is_the_accuracy(
    tmp_path: Path, small_run: list[str]
) -> None:
    result = start_run(config_of([*small_run, "train.tta=hflip"]), runs=tmp_path, name="a")
    history = read_history(tmp_path / "a")
    assert history.classes == ["bright", "dark"]
    assert [sum(line) for line in history.confusion] == [8, 8]
    right = sum(line[i] for i, line in enumerate(history.confusion))
    assert right / 16 == result.summary["test/accuracy"]


def test_it_learns_what_can_be_learned(tmp_path: Path, small_run: list[str]) -> None:
    overrides = [*small_run, "train.epochs=12", "model.width=8", "schedule.epochs=[0,2,12]", "train.ema.decay=0"]
    assert start_run(config_of(overrides), runs=tmp_path).summary["test/accuracy"] == 1.0


def test_the_same_run_twice_gives_the_same_rows_and_bits(tmp_path: Path, small_run: list[str]) -> None:
    for name in "ab":
        start_run(config_of([*small_run, "train.log_every=2"]), runs=tmp_path, name=name)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    start_run(config_of([*small_run, "seed=1"]), runs=tmp_path, name="c")
    assert rows(tmp_path / "c") != rows(tmp_path / "a")


class _Broken(BaseException):
    """Stands for a sudden end: nothing in the program catches it."""


@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize("step", [2, 6, 9, 17])
def test_a_run_broken_at_a_step_and_resumed_ends_as_the_unbroken_one(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, how: str, step: int
) -> None:
    overrides = [*small_run, "schedule.name=reduce_on_plateau", "schedule.patience=0", "schedule.cooldown=0",
             "data.val_fraction=0.1", "train.log_every=4"]  # fmt: skip
    start_run(config_of(overrides), runs=tmp_path, name="unbroken")
    take_step = Loop.train_batch

    def break_at(loop: Loop, *batch: Any) -> None:
        take_step(loop, *batch)
        if loop.counters.step == step:
            if how == "killed":
                raise _Broken
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "train_batch", break_at)
        if how == "killed":
            with pytest.raises(_Broken):
                start_run(config_of(overrides), runs=tmp_path, name="broken")
        else:
            result = start_run(config_of(overrides), runs=tmp_path, name="broken")
            assert (result.status, result.signal) == ("interrupted", signal.SIGTERM)
    assert resume_run(tmp_path / "broken").status == "finished"
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")


@pytest.mark.parametrize(
    ("before", "changes", "probed"),
    [
        ([], {"probe": {"drift": {"every": 1}}}, [*range(9, 18)]),
        (["probe.drift.every=1"], {"probe": {"drift": {"every": 0}}}, [*range(9)]),
        ([], {"train": {"eval_batch_size": 3, "keep_best": True, "log_every": 2}}, []),
    ],
    ids=["probe on", "probe off", "other"],
)
def test_a_resume_may_change_what_changes_no_number(
    tmp_path: Path,
    small_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    before: list[str],
    changes: dict[str, Any],
    probed: list[int],
) -> None:
    start_run(config_of(small_run), runs=tmp_path, name="unbroken")
    take_step = Loop.train_batch

    def terminate(loop: Loop, *batch: Any) -> None:
        take_step(loop, *batch)
        if loop.counters.step == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "train_batch", terminate)
        start_run(config_of([*small_run, *before]), runs=tmp_path, name="broken")
    with pytest.raises(ConfigError, match=r"optimizer.lr: the run has 0.002, not 1.0"):
        resume_run(tmp_path / "broken", {**changes, "optimizer": {"lr": 1.0}})
    assert resume_run(tmp_path / "broken", changes).status == "finished"
    ends = [leaves(state(tmp_path / name)["model"]) for name in ("broken", "unbroken")]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    assert [row["step"] for row in rows(tmp_path / "broken") if "runs/loss" in row] == probed


def test_a_finished_run_is_not_run_again(tmp_path: Path, small_run: list[str]) -> None:
    start_run(config_of(small_run), runs=tmp_path, name="a")
    before = (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns
    result = resume_run(tmp_path / "a")
    assert "already finished" in result.message
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_resume_with_another_config_is_refused_key_by_key(tmp_path: Path, small_run: list[str]) -> None:
    start_run(config_of([*small_run, "train.max_steps=2"]), runs=tmp_path, name="a")
    with pytest.raises(ConfigError) as caught:
        resume_run(tmp_path / "a", {"optimizer": {"lr": 1.0}, "train": {"epochs": 9, "batch_size": 8}})
    assert [line.split(":")[0] for line in caught.value.problems] == ["optimizer.lr", "train.epochs"]
    with pytest.raises(ConfigError, match=r"optimizer.lrr: sgd has no such field; did you mean 'lr'?"):
        resume_run(tmp_path / "a", {"optimizer": {"lrr": 1.0}})


def test_settings_given_again_in_another_form_or_that_change_no_number_are_taken(
    tmp_path: Path, small_run: list[str]
) -> None:
    start_run(config_of([*small_run, "train.max_steps=2"]), runs=tmp_path, name="a")
    same = {"optimizer": {"lr": "2e-3"}, "train": {"batch_size": 8.0}, "sink": {"wandb": {"project": "other"}}}
    assert resume_run(tmp_path / "a", same).status == "finished"


def test_a_config_edited_after_the_checkpoint_is_refused(tmp_path: Path, small_run: list[str]) -> None:
    folder = start_run(config_of(small_run), runs=tmp_path, name="a").folder
    (folder / "summary.json").unlink()
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.002", "lr: 0.004"))
    with pytest.raises(ConfigError, match=r"optimizer.lr: the run has 0.002, not 0.004"):
        resume_run(folder)


def change_data(root: Path, change: str) -> None:
    """Change a copy of `image_folder`, with as many images as before."""
    train, test = root / "train", root / "test"
    match change:
        case "images":
            Image.new("RGB", (8, 8), "red").save(train / "dark" / "3.png")
        case "test images":
            Image.new("RGB", (8, 8), "red").save(test / "dark" / "3.png")
        case "labels":
            (train / "dark" / "3.png").rename(train / "bright" / "dark-3.png")
        case "class names":
            for split in (train, test):
                (split / "dark").rename(split / "night")
        case "more classes":
            for split in (train, test):
                (split / "more").mkdir()
                (split / "dark" / "3.png").rename(split / "more" / "3.png")


@pytest.mark.parametrize("change", ["images", "test images", "labels", "class names", "more classes", "nothing"])
def test_a_resume_on_other_data_is_refused_in_one_line(
    tmp_path: Path, small_run: list[str], image_folder: Path, change: str
) -> None:
    root, moved = tmp_path / "data", tmp_path / "moved"
    shutil.copytree(image_folder, root)
    overrides = [*small_run, f"data.root={root}", "train.epochs=2"]
    folder = start_run(config_of([*overrides, "train.max_seconds=0.0001"]), runs=tmp_path, name="run").folder
    (folder / "summary.json").unlink()  # as if it had been killed
    root.rename(moved)
    change_data(moved, change)
    if change == "nothing":
        assert resume_run(folder, {"data": {"root": str(moved)}}).status == "finished"
        return
    with pytest.raises(CheckpointError, match="no longer has the images, labels and classes") as caught:
        resume_run(folder, {"data": {"root": str(moved)}})
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_damaged_run_json_does_not_keep_a_run_from_resuming(
    tmp_path: Path, small_run: list[str], content: bytes
) -> None:
    folder = start_run(config_of([*small_run, "train.max_steps=1"]), runs=tmp_path, name="run").folder
    (folder / "summary.json").unlink()
    (folder / "run.json").write_bytes(content)
    assert resume_run(folder).status == "finished"
    provenance = json.loads((folder / "run.json").read_text())
    assert (provenance["status"], provenance["seed"], len(provenance["resumed"])) == ("finished", 0, 1)


def test_a_run_folder_with_an_empty_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    with pytest.raises(CheckpointError, match=r"config\.yaml: empty"):
        resume_run(tmp_path)


def test_an_epoch_cut_short_by_max_steps_is_logged_at_its_fraction(tmp_path: Path, small_run: list[str]) -> None:
    summary = start_run(config_of([*small_run, "train.max_steps=8"]), runs=tmp_path, name="a").summary
    assert [row["epoch"] for row in rows(tmp_path / "a")] == [1, 1 + 2 / 6]
    assert (summary["step"], summary["epoch"]) == (8, 1 + 2 / 6)
    assert "test/accuracy" in rows(tmp_path / "a")[-1]


def test_one_process_at_a_time_trains_into_a_folder(tmp_path: Path, small_run: list[str]) -> None:
    import fcntl

    start_run(config_of(small_run), runs=tmp_path, name="a")
    (tmp_path / "a" / "summary.json").unlink()
    with (tmp_path / "a" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match="another process"):
            resume_run(tmp_path / "a")


def test_a_loss_gone_infinite_ends_the_run_with_its_step_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_step = Loop.train_batch

    def spoil(loop: Loop, images: torch.Tensor, labels: torch.Tensor) -> None:
        take_step(loop, images * (float("nan") if loop.counters.step == 8 else 1), labels)

    monkeypatch.setattr(Loop, "train_batch", spoil)
    result = start_run(config_of(small_run), runs=tmp_path, name="a")
    assert (result.status, result.summary["step"]) == ("diverged", 8)
    assert "step 8" in result.message
    kept = load_checkpoint(tmp_path / "a" / "checkpoint.pt")
    assert kept["counters"]["step"] == 6
    assert all(value.isfinite().all() for value in kept["model"].values() if value.is_floating_point())


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_what_decides_is_validation_or_training_and_never_the_test_set(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, fraction: float
) -> None:
    told: list[float] = []
    monkeypatch.setattr(RateSchedule, "epoch_ended", lambda _, loss: told.append(loss))
    start_run(config_of([*small_run, f"data.val_fraction={fraction}"]), runs=tmp_path, name="a")
    assert told == [row["val/loss" if fraction else "train/loss"] for row in rows(tmp_path / "a")]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_in_parts_is_the_same_step(small_run: list[str], reduction: str) -> None:
    def after_one_step(accumulate: int) -> tuple[nn.Module, tuple[float, float]]:
        overrides = [f"train.accumulate={accumulate}", f"loss.reduction={reduction}", "train.precision=float32"]
        config = config_of([*small_run, *overrides])  # in bfloat16 the order of a sum shows
        compute = choose_compute(config.train)
        parts = build_parts(config, compute, load_image_set(config.data, seed=0))
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))  # without batch statistics, parts see what the whole sees
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        parts = dataclasses.replace(parts, model=net, forward=net, ema=None, optimizer=optimizer)
        loop = Loop(parts, [], keep=lambda *_: None, stop_requested=lambda: False)
        loop.train_batch(255 * torch.rand(7, 3, 8, 8), torch.arange(7) % 2)
        return net, loop.sums.read()

    (whole, whole_sums), (parted, parted_sums) = after_one_step(1), after_one_step(3)
    torch.testing.assert_close(parted.state_dict(), whole.state_dict())
    assert parted_sums == pytest.approx(whole_sums, rel=1e-5)


def _kill_and_resume(tmp_path: Path, overrides: list[str], kills: int, seed: int) -> int:
    """Kill a run `kills` times at random moments, resuming it each time; compare each end with the unbroken run's."""
    draw = random.Random(seed)
    trainer = [sys.executable, "-m", "trainer.cli", "train"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*trainer, *overrides, "--runs", tmp_path, "--name", "unbroken"], check=True, **quiet)
    done, ended = 0, 0
    while done < kills or ended == 0:
        folder = tmp_path / f"broken{ended}"
        command = (
            ["--resume", str(folder)] if folder.exists() else [*overrides, "--runs", tmp_path, "--name", folder.name]
        )
        process = subprocess.Popen([*trainer, *command], **quiet)
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith(("training", "resuming")))  # its parts are built
        if done < kills:
            time.sleep(draw.uniform(0.0, 1.2))
            process.kill()
        _, said = process.communicate()
        if process.returncode == -signal.SIGKILL:
            done += 1
        else:
            assert process.returncode == 0, said
            assert_same_end(folder, tmp_path / "unbroken")
            ended += 1
    return ended


def test_a_run_killed_for_real_resumes_to_the_same_bits(tmp_path: Path, small_run: list[str]) -> None:
    _kill_and_resume(tmp_path, [*small_run, "train.epochs=30"], kills=2, seed=0)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit(tmp_path: Path, small_run: list[str]) -> None:
    _kill_and_resume(tmp_path, [*small_run, "train.epochs=30"], kills=20, seed=1)
