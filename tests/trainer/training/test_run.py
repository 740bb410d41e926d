"""Whole runs: what they leave behind, that they repeat, and that a broken one ends as the unbroken one does."""

import dataclasses
import json
import math
import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from run_ends import assert_same_end, rows_of
from torch import nn

from trainer.config import load_config
from trainer.config.train import Train
from trainer.data.sources import load_image_set
from trainer.errors import CheckpointError, ConfigError
from trainer.report.pages.origins import origin_of
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.history import read_history
from trainer.runs.provenance import provenance
from trainer.training.counters import Clock, Counters, Sums
from trainer.training.device import choose_compute
from trainer.training.loop import Loop
from trainer.training.pace import endless_batches
from trainer.training.run import build_parts, resume_run, start_run
from trainer.training.schedules import RateSchedule


def test_a_run_leaves_its_folder_behind(tmp_path: Path, small_run: list[str]) -> None:
    result = start_run(
        load_config([*small_run, "data.val_fraction=0.25", "train.keep_best=true"]).config, runs=tmp_path, name="a"
    )
    folder = tmp_path / "a"
    assert result.folder == folder
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "best.pt", "checkpoint.pt", "config.yaml", "confusion.json", "metrics.jsonl",
        "run.json", "summary.json",
    }  # fmt: skip
    summary, run = (json.loads((folder / name).read_text()) for name in ("summary.json", "run.json"))
    wanted = ["test/accuracy", "test/accuracy_best", "test/accuracy_plain", "test/loss", "train/accuracy",
              "val/accuracy", "time/train_seconds", "time/images_per_second", "model/parameters"]  # fmt: skip
    assert set(wanted) <= set(summary)
    assert (summary["status"], summary["step"], run["status"], run["seed"]) == ("finished", 15, "finished", 0)
    assert {"torch", "cifar-sweeps"} <= set(run["versions"])
    assert [row["epoch"] for row in rows_of(folder)] == [1, 2, 3]
    assert (
        load_config(file=folder / "config.yaml", recipe="none").config
        == load_config([*small_run, "data.val_fraction=0.25", "train.keep_best=true"]).config
    )


def test_the_confusion_counts_every_test_image_and_its_diagonal_is_the_accuracy(
    tmp_path: Path, small_run: list[str]
) -> None:
    result = start_run(load_config([*small_run, "train.tta=hflip"]).config, runs=tmp_path, name="a")
    history = read_history(tmp_path / "a")
    assert history.classes == ["bright", "dark"]
    assert [sum(line) for line in history.confusion] == [8, 8]
    right = sum(line[i] for i, line in enumerate(history.confusion))
    assert right / 16 == result.summary["test/accuracy"]
    assert history.correct is not None and history.correct.shape == (16,)
    assert history.correct[:8].sum() == history.confusion[0][0]  # the folder's images come by class
    assert result.summary["memory/peak_bytes"] > 50e6  # Python and torch alone


def test_it_learns_what_can_be_learned(tmp_path: Path, small_run: list[str]) -> None:
    overrides = [*small_run, "train.epochs=12", "model.width=8", "schedule.epochs=[0,2,12]", "train.ema.decay=0"]
    assert start_run(load_config(overrides).config, runs=tmp_path).summary["test/accuracy"] == 1.0


def test_the_same_run_twice_gives_the_same_rows_and_bits(tmp_path: Path, small_run: list[str]) -> None:
    for name in "ab":
        start_run(load_config([*small_run, "train.log_every=2"]).config, runs=tmp_path, name=name)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    start_run(load_config([*small_run, "seed=1"]).config, runs=tmp_path, name="c")
    assert rows_of(tmp_path / "c") != rows_of(tmp_path / "a")


def test_a_finished_run_is_not_run_again(tmp_path: Path, small_run: list[str]) -> None:
    start_run(load_config(small_run).config, runs=tmp_path, name="a")
    before = (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns
    result = resume_run(tmp_path / "a")
    assert "already finished" in result.message
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns == before


def test_an_epoch_cut_short_by_max_steps_is_logged_at_its_fraction(tmp_path: Path, small_run: list[str]) -> None:
    summary = start_run(load_config([*small_run, "train.max_steps=8"]).config, runs=tmp_path, name="a").summary
    assert [row["epoch"] for row in rows_of(tmp_path / "a")] == [1, 1 + 2 / 6]
    assert (summary["step"], summary["epoch"]) == (8, 1 + 2 / 6)
    assert "test/accuracy" in rows_of(tmp_path / "a")[-1]


def test_one_process_at_a_time_trains_into_a_folder(tmp_path: Path, small_run: list[str]) -> None:
    import fcntl

    start_run(load_config(small_run).config, runs=tmp_path, name="a")
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
    result = start_run(load_config(small_run).config, runs=tmp_path, name="a")
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
    start_run(load_config([*small_run, f"data.val_fraction={fraction}"]).config, runs=tmp_path, name="a")
    assert told == [row["val/loss" if fraction else "train/loss"] for row in rows_of(tmp_path / "a")]


GROWING = ["data.image_size=16", "augment.side.from_epochs=[0,1]"]
LATER = ["train.batch_size=48", "train.batch_schedule.sizes=[47]"]


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ([], 8),
        (["train.epochs=0.5"], None),
        (["train.max_steps=1"], None),
        (["train.max_steps=2"], 8),
        (["train.drop_last=true"], None),
        (["train.epochs=0.5", "train.swa.epochs=1"], 8),  # its norms see the rest of the epoch
        (["train.max_steps=1", "train.swa.epochs=1"], None),  # it ends before the epoch that is averaged
        (["model.sync_norm=true"], 8),  # it has nothing to synchronise on one device
        ([*LATER, "train.batch_schedule.from_epochs=[2]"], 8),
        ([*LATER, "train.batch_schedule.from_epochs=[3]"], None),
        ([*GROWING, "augment.side.pixels=[8,16]"], 8),
        ([*GROWING, "augment.side.pixels=[16,8]"], 8),
        ([*GROWING, "augment.side.pixels=[16,8]", "train.epochs=1"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_batch_of_one_image_is_refused_if_the_run_reaches_it_and_cannot_train_on_it(
    small_run: list[str], words: list[str], side: int | None
) -> None:
    config = load_config([*small_run, "train.ema.decay=0", "train.batch_size=47", *words]).config  # of 48 images
    compute, images = choose_compute(config.train), load_image_set(config.data, seed=0)
    if side is None:
        parts = build_parts(config, compute, images)
        for inputs, _ in islice(endless_batches(parts), 2):
            parts.model.train()(parts.normalize(inputs))
        return
    said = rf"^train.batch_size: one batch or part has a single image, on which fastresnet9 .* 3x{side}x{side}: "
    with pytest.raises(ConfigError, match=said):
        build_parts(config, compute, images)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.ghost_size=1"], "1: of a batch or part of 8 images"),
        (["model.ghost_size=2", "train.batch_size=45"], "2: of a batch or part of 3 images"),
        (["model.ghost_size=2", "train.batch_size=9", "train.accumulate=3"], "2: of a batch or part of 3 images"),
        (["model.ghost_size=2", "train.batch_size=11", "train.accumulate=2"], None),
        (
            ["model.ghost_size=2", "train.batch_size=11", "train.accumulate=2", "train.swa.epochs=1"],
            "2: of a batch or part of 11 images",
        ),
        (["model.ghost_size=2"], None),
        (["model.ghost_size=3", "train.batch_size=5", "train.max_steps=1"], None),
        (["model.ghost_size=1", "data.image_size=16"], None),
    ],
)
def test_a_ghost_of_one_image_is_refused_if_the_network_cannot_train_on_it(
    small_run: list[str], tmp_path: Path, words: list[str], said: str | None
) -> None:
    """Before: a traceback of BatchNorm at the first step with such a group. 48 images, of which 45 leave 3."""
    config = load_config([*small_run, "train.ema.decay=0", *words]).config
    if said is None:
        assert start_run(config, runs=tmp_path, name="a").status == "finished"
        return
    with pytest.raises(
        ConfigError, match=rf"^model.ghost_size: {said} one group has a single image, on which .* 3x8x8"
    ):
        start_run(config, runs=tmp_path, name="a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_in_parts_is_the_same_step(small_run: list[str], reduction: str) -> None:
    def after_one_step(accumulate: int) -> tuple[nn.Module, tuple[float, float]]:
        overrides = [f"train.accumulate={accumulate}", f"loss.reduction={reduction}", "train.precision=float32"]
        config = load_config([*small_run, *overrides]).config  # in bfloat16 the order of a sum shows
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


@pytest.mark.parametrize(("seconds", "epochs"), [(0, [0, 1, 2, 3]), (1e6, [0, 3])])
def test_checkpoints_are_at_least_so_many_seconds_apart(
    tmp_path: Path, small_run: list[str], seconds: float, epochs: list[int]
) -> None:
    config = load_config([*small_run, f"train.checkpoint_seconds={seconds}"]).config
    parts = build_parts(config, choose_compute(config.train), load_image_set(config.data, seed=0))
    kept: list[int] = []
    loop = Loop(parts, [], keep=lambda _, state: kept.append(state["counters"]["epoch"]), stop_requested=lambda: False)
    loop.save_checkpoint()
    loop.fit()
    assert kept == epochs


def test_the_first_loss_that_is_not_finite_is_found_by_its_step() -> None:
    """Also if a batch has several parts, after a resume, and from a checkpoint that had no count of steps."""
    good, bad, one = torch.tensor(1.5), torch.tensor(float("nan")), torch.tensor(1)
    sums = Sums(torch.device("cpu"))
    sums.load(torch.tensor([3.0, 4.0, 0.0]), steps=2)
    for losses in ((good, good), (good, bad), (bad, bad)):
        for loss in losses:
            sums.add(loss, one)
        sums.count_step()
    loss, correct = sums.read()
    assert (math.isnan(loss), correct, sums.bad_step) == (True, 10.0, 3)
    sums.reset()
    assert (sums.read(), sums.bad_step) == ((0.0, 0.0), None)


def test_a_gpu_is_in_the_provenance() -> None:
    words = {"device": "NVIDIA H200", "precision": "bfloat16", "ranks": 1, "command": ["trainer"], "seed": 0}
    plain = provenance(**words)
    found = provenance(**words, gpu={"cuda": "13.0", "cudnn": "91000", "capability": "9.0"})
    assert found["versions"] == plain["versions"] | {"cuda": "13.0", "cudnn": "91000"}
    assert found["machine"] == plain["machine"] | {"capability": "9.0"}
    assert origin_of(found)["capability"] == "9.0"
    assert "capability" not in origin_of(plain)
    assert origin_of(plain | {"resumed": [found]})["cuda"] == "13.0"
    assert origin_of(plain | {"resumed": [plain, {"device": "CPU"}]})["device"] == "NVIDIA H200, then CPU"
    assert origin_of(plain | {"resumed": True}) == origin_of(plain)
    cpu = {"device": "AMD EPYC, 2 threads", "machine": {"processor": "AMD EPYC", "cores": 2}}
    assert origin_of(cpu) == {"device": "AMD EPYC, 2 threads", "cores": "2"}, "a processor is named once"


@pytest.mark.parametrize("running", [False, True])
def test_a_pause_of_the_clock_ends_as_it_began_also_after_an_error(running: bool) -> None:
    counters = Counters()
    clock = Clock(choose_compute(Train(device="cpu")), counters)
    if running:
        clock.start()
    with pytest.raises(RuntimeError), clock.paused():
        raise RuntimeError("cannot be recorded")
    before = counters.train_seconds
    time.sleep(0.01)
    clock.stop()
    assert (counters.train_seconds - before >= 0.01) is running
