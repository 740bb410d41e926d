"""Resuming: a broken run ends as the unbroken one, and what must not change is refused."""

import json
import math
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import yaml
from PIL import Image
from pretend import server
from pretend.watch import wait_for
from run_ends import assert_same_end, broken_at, differing, rows_of

from trainer.config import load_config
from trainer.errors import CheckpointError, ConfigError, UserError
from trainer.runs.checkpoint import load_checkpoint, save_checkpoint
from trainer.sweep.child import Child
from trainer.training.device import AUTO_PRECISION
from trainer.training.loop import Loop
from trainer.training.run import resume_run, start_run
from trainer.training.stored import begun_on, tell_of_another_machine


@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize("step", [2, 6, 9, 17])
def test_a_run_broken_at_a_step_and_resumed_ends_as_the_unbroken_one(
    tmp_path: Path, small_run: list[str], how: Literal["killed", "terminated"], step: int
) -> None:
    overrides = [*small_run, "schedule.name=reduce_on_plateau", "schedule.patience=0", "schedule.cooldown=0",
             "data.val_fraction=0.1", "train.log_every=4"]  # fmt: skip
    start_run(load_config(overrides).config, runs=tmp_path, name="unbroken")
    with broken_at(step, how):
        result = start_run(load_config(overrides).config, runs=tmp_path, name="broken")
        assert (result.status, result.signal) == ("interrupted", signal.SIGTERM)
    assert resume_run(tmp_path / "broken").status == "finished"
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")


RECORDS = [
    "recipe=none", "model.name=airbench96", "model.widths=[4,4,4]", "model.norm_momentum=0.3", "data.image_size=24",
    "optimizer.name=muon", "optimizer.orthogonalise=filters", "optimizer.format=bfloat16", "optimizer.settle=0",
    "optimizer.renormalise=true", "optimizer.rest_momentum=0.85", "optimizer.head.lr_scale=3",
    "optimizer.head.end_epoch=2",
    "optimizer.norm_and_bias_lr_scale=0.25", "optimizer.decay_norm_and_bias=0.03", "augment.intensity.brightness=0.2",
    "optimizer.first_bias.end_epoch=1.5", "optimizer.norm_and_bias_end_epoch=2",
    "optimizer.lookahead.steps=2", "optimizer.lookahead.ramp_power=3",
    "schedule.name=linear", "train.epochs=2.5", "train.ema.decay=0.9", "train.tta=hflip_translate",
    "train.tta_share=0.25",
    "augment.side.pixels=[18,24]", "augment.side.from_epochs=[0,1]", "augment.intensity.contrast=0.2",
    "train.batch_schedule.sizes=[10]", "train.batch_schedule.from_epochs=[1]", "augment.flip.mode=alternating",
]  # fmt: skip


@pytest.mark.parametrize("step", [4, 8, 13])
def test_a_run_with_every_choice_of_the_records_resumes_to_the_same_bits(
    tmp_path: Path, small_run: list[str], step: int
) -> None:
    overrides = [word for word in small_run if not word.startswith("model.")] + RECORDS
    start_run(load_config(overrides).config, runs=tmp_path, name="unbroken")
    with broken_at(step, "killed"):
        start_run(load_config(overrides).config, runs=tmp_path, name="broken")
    assert resume_run(tmp_path / "broken").status == "finished"
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")


@pytest.mark.parametrize("name", ["speed94", "speed95", "speed96", "cpu94"])
def test_a_recipe_of_the_records_trains_small(tmp_path: Path, name: str) -> None:
    words = [
        f"recipe={name}",
        "model.widths=[8,8,8]",
        "data.name=shapes10",
        "data.train_size=120",
        "train.batch_size=40",
    ]
    words += ["train.max_steps=5", "train.device=cpu", "sink.wandb.mode=disabled"]
    run = start_run(load_config(words).config, runs=tmp_path, name="small")
    assert (run.status, run.summary["step"]) == ("finished", 5) and math.isfinite(run.summary["train/loss"])


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
    before: list[str],
    changes: dict[str, Any],
    probed: list[int],
) -> None:
    start_run(load_config(small_run).config, runs=tmp_path, name="unbroken")
    with broken_at(9):
        start_run(load_config([*small_run, *before]).config, runs=tmp_path, name="broken")
    with pytest.raises(ConfigError, match=r"optimizer.lr: the run has 0.002, not 1.0"):
        resume_run(tmp_path / "broken", {**changes, "optimizer": {"lr": 1.0}})
    assert resume_run(tmp_path / "broken", changes).status == "finished"
    places = differing(tmp_path / "broken", tmp_path / "unbroken")
    assert [place for place in places if place.startswith("/model/")] == []
    assert [row["step"] for row in rows_of(tmp_path / "broken") if "runs/loss" in row] == probed


def test_a_resume_with_another_config_is_refused_key_by_key(tmp_path: Path, small_run: list[str]) -> None:
    start_run(load_config([*small_run, "train.max_steps=2"]).config, runs=tmp_path, name="a")
    with pytest.raises(ConfigError) as caught:
        resume_run(tmp_path / "a", {"optimizer": {"lr": 1.0}, "train": {"epochs": 9, "batch_size": 8}})
    assert [line.split(":")[0] for line in caught.value.problems] == ["optimizer.lr", "train.epochs"]
    with pytest.raises(ConfigError, match=r"optimizer.lrr: sgd has no such field; did you mean 'lr'?"):
        resume_run(tmp_path / "a", {"optimizer": {"lrr": 1.0}})


def test_settings_given_again_in_another_form_or_that_change_no_number_are_taken(
    tmp_path: Path, small_run: list[str]
) -> None:
    start_run(load_config([*small_run, "train.max_steps=2"]).config, runs=tmp_path, name="a")
    same = {"optimizer": {"lr": "2e-3"}, "train": {"batch_size": 8.0}, "sink": {"wandb": {"project": "other"}}}
    assert resume_run(tmp_path / "a", same).status == "finished"


def test_a_config_edited_after_the_checkpoint_is_refused(tmp_path: Path, small_run: list[str]) -> None:
    folder = start_run(load_config(small_run).config, runs=tmp_path, name="a").folder
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
    folder = start_run(load_config([*overrides, "train.max_seconds=0.0001"]).config, runs=tmp_path, name="run").folder
    (folder / "summary.json").unlink()  # as if it had been killed
    root.rename(moved)
    change_data(moved, change)
    if change == "nothing":
        assert resume_run(folder, {"data": {"root": str(moved)}}).status == "finished"
        return
    with pytest.raises(CheckpointError, match="no longer has the images, labels and classes") as caught:
        resume_run(folder, {"data": {"root": str(moved)}})
    assert len(caught.value.problems) == 1


def store_as_first_released(folder: Path) -> None:
    """Rewrite a run folder as revision 79e8fc6 stored it: its EMA had no warm-up, its data no fingerprint."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    state = load_checkpoint(folder / "checkpoint.pt")
    for stored in (config, state["config"]):
        del stored["train"]["ema"]["warmup"]
    del state["data"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    save_checkpoint(folder / "checkpoint.pt", {**state, "images": 48})


def test_a_run_begun_by_an_earlier_revision_resumes_to_the_same_bits(tmp_path: Path, small_run: list[str]) -> None:
    overrides = [*small_run, "train.ema.decay=0.9", "train.ema.warmup=false"]
    unbroken = start_run(load_config(overrides).config, runs=tmp_path, name="unbroken").folder
    with broken_at(9):
        earlier = start_run(load_config(overrides).config, runs=tmp_path, name="earlier").folder
    store_as_first_released(earlier)
    assert resume_run(earlier).status == "finished"
    assert_same_end(earlier, unbroken)


def test_a_run_begun_by_an_earlier_revision_is_not_resumed_on_more_images(
    tmp_path: Path, small_run: list[str], image_folder: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(image_folder, root)
    with broken_at(2):
        folder = start_run(load_config([*small_run, f"data.root={root}"]).config, runs=tmp_path, name="earlier").folder
    store_as_first_released(folder)
    shutil.copy(root / "train" / "dark" / "3.png", root / "train" / "dark" / "more.png")
    with pytest.raises(CheckpointError, match="no longer has the images"):
        resume_run(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_damaged_run_json_does_not_keep_a_run_from_resuming(
    tmp_path: Path, small_run: list[str], content: bytes
) -> None:
    folder = start_run(load_config([*small_run, "train.max_steps=1"]).config, runs=tmp_path, name="run").folder
    (folder / "summary.json").unlink()
    (folder / "run.json").write_bytes(content)
    assert resume_run(folder).status == "finished"
    provenance = json.loads((folder / "run.json").read_text())
    assert (provenance["status"], provenance["seed"], len(provenance["resumed"])) == ("finished", 0, 1)


def test_a_summary_that_is_none_is_one_line(tmp_path: Path, small_run: list[str]) -> None:
    folder = start_run(load_config([*small_run, "train.max_steps=1"]).config, runs=tmp_path, name="run").folder
    (folder / "summary.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"run/summary\.json: expected a JSON object$"):
        resume_run(folder)


def test_a_run_folder_with_an_empty_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    with pytest.raises(CheckpointError, match=r"config\.yaml: empty"):
        resume_run(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder but its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("left", [None, 0, 40], ids=["missing", "empty", "shorter"])
def test_a_resume_without_all_rows_of_its_checkpoint_is_refused_and_touches_nothing(
    tmp_path: Path, small_run: list[str], left: int | None
) -> None:
    mirrors = ["sink.tensorboard.mode=local"]
    with broken_at(9):
        folder = start_run(load_config([*small_run, *mirrors]).config, runs=tmp_path, name="run").folder
    rows = folder / "metrics.jsonl"
    whole = rows.read_bytes()
    rows.unlink() if left is None else rows.write_bytes(whole[:left])
    before = contents(folder)
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: ") as caught:
        resume_run(folder)
    assert caught.value.problems == (
        f"{folder}/metrics.jsonl: has {left or 0} of the {len(whole)} bytes that the checkpoint knows; bring it back,"
        " or start a new run",
    )
    assert contents(folder) == before
    rows.write_bytes(whole)
    assert resume_run(folder).status == "finished"


@pytest.mark.parametrize("lost", ["metrics.jsonl", "summary.json", ""])
def test_a_run_that_has_lost_its_checkpoint_is_not_begun_again_over_its_rows(
    tmp_path: Path, small_run: list[str], lost: str
) -> None:
    with broken_at(9):
        folder = start_run(load_config(small_run).config, runs=tmp_path, name="run").folder
    (folder / "checkpoint.pt").unlink()
    if lost:
        (folder / lost).unlink()
    before = contents(folder)
    with pytest.raises(
        CheckpointError, match=r"checkpoint\.pt: missing, but there are (rows|a summary at step 9)"
    ) as caught:
        resume_run(folder)
    assert len(caught.value.problems) == 1
    assert contents(folder) == before


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path: Path, small_run: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.training.run.save_checkpoint", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            start_run(load_config(small_run).config, runs=tmp_path, name="run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 0
    assert resume_run(tmp_path / "run").status == "finished"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _said(folder: Path) -> list[str]:
    """Return the lines that the processes of a run have said."""
    log = folder.parent / ".children" / f"{folder.name}.log"
    return log.read_text().splitlines() if log.exists() else []


def _kill_and_resume(tmp_path: Path, overrides: list[str], kills: int, seed: int) -> int:
    """Kill a run `kills` times at random moments, resuming it each time; compare each end with the unbroken run's."""
    draw = random.Random(seed)
    server.ready()
    unbroken = Child(tmp_path / "unbroken", overrides, {})
    wait_for(unbroken.poll)
    done, ended = 0, 0
    while done < kills or ended == 0:
        folder = tmp_path / f"broken{ended}"
        earlier = len(_said(folder))
        child = Child(folder, overrides, {})  # `trainer train` from the start, or `trainer train --resume`
        while child.poll() is None and not any(
            line.startswith(("training", "resuming")) for line in _said(folder)[earlier:]
        ):
            time.sleep(0.01)
        if done < kills and child.poll() is None:
            time.sleep(draw.uniform(0.0, 1.2))
            child.kill()
            done += 1
        wait_for(child.poll)
        state, _, message = child.poll() or ("", {}, "")
        if state != "interrupted":  # a kill between the run's last line and the end of its process comes too late
            assert state == "finished", message
            assert_same_end(folder, tmp_path / "unbroken")
            ended += 1
    return ended


def test_a_run_killed_for_real_resumes_to_the_same_bits(tmp_path: Path, small_run: list[str]) -> None:
    _kill_and_resume(tmp_path, [*small_run, "train.epochs=30"], kills=2, seed=0)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit(tmp_path: Path, small_run: list[str]) -> None:
    _kill_and_resume(tmp_path, [*small_run, "train.epochs=30"], kills=20, seed=1)


@pytest.mark.parametrize("began_in", ["float32", "bfloat16"])
def test_a_resume_keeps_the_precision_that_auto_was(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, began_in: str
) -> None:
    """Another machine may choose another one."""
    config = load_config(small_run).config
    monkeypatch.setenv(AUTO_PRECISION, began_in)
    start_run(config, runs=tmp_path, name="unbroken")
    with broken_at(9, "killed"):
        start_run(config, runs=tmp_path, name="broken")
    monkeypatch.setenv(AUTO_PRECISION, "bfloat16" if began_in == "float32" else "float32")
    assert resume_run(tmp_path / "broken").status == "finished"
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")


def test_a_run_does_not_go_on_on_another_kind_of_device(tmp_path: Path, small_run: list[str]) -> None:
    with broken_at(9, "killed"):
        start_run(load_config(small_run).config, runs=tmp_path, name="broken")
    path = tmp_path / "broken" / "checkpoint.pt"
    state = load_checkpoint(path)
    save_checkpoint(path, {**state, "compute": {"device": "cuda", "precision": "bfloat16"}})
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"^train.device: the run has steps on cuda"):
        resume_run(tmp_path / "broken")
    assert path.read_bytes() == before
    unmoved = {**state, "counters": {**state["counters"], "step": 0, "step_in_epoch": 0, "epoch": 0}}
    assert begun_on({**unmoved, "compute": {"device": "cuda"}}) is None  # nothing of it is on that device yet
    assert begun_on({key: value for key, value in state.items() if key != "compute"}) is None  # older


def test_a_run_that_goes_on_elsewhere_says_so(
    tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: the line was made of the summary, which names no device."""
    with broken_at(9, "killed"):
        start_run(load_config(small_run).config, runs=tmp_path, name="broken")
    about = tmp_path / "broken" / "run.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "device": "another"}))
    resume_run(tmp_path / "broken")
    assert "resumed elsewhere, so bits can differ: device " in capsys.readouterr().err


def test_another_machine_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    here = {"device": "NVIDIA H200", "versions": {"torch": "2.15.0", "cuda": "13.0", "cudnn": "91000"}}
    tell_of_another_machine(here, here)
    tell_of_another_machine({}, here)  # an older one does not say
    tell_of_another_machine(here | {"device": "cpu", "resumed": [here]}, here)
    assert not capsys.readouterr().err
    tell_of_another_machine(here | {"device": "NVIDIA A100", "versions": {"torch": "2.15.0", "cuda": "13.0"}}, here)
    assert capsys.readouterr().err == (
        "resumed elsewhere, so bits can differ: device NVIDIA H200, before NVIDIA A100; cudnn 91000, before none\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    ],
)
def test_too_little_memory_is_a_line_with_what_to_lower(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def out_of_memory(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "train_batch", out_of_memory)
        with pytest.raises(UserError, match=r"^train.batch_size: \d+: out of memory on .*train.accumulate=2"):
            start_run(load_config(small_run).config, runs=tmp_path, name="large")
    assert json.loads((tmp_path / "large" / "run.json").read_text())["status"] == "failed"
    assert resume_run(tmp_path / "large").status == "finished"
