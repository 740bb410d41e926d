"""Batch sizes and runs at once by measured memory: the rule on curves that are known, then on real steps."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from command_line import run_here

from trainer.config import load_config
from trainer.errors import ConfigError, SweepError
from trainer.sweep import memory
from trainer.sweep.file import Sweep
from trainer.sweep.local import open_sweep
from trainer.sweep.memory import Memory, largest_batch, runs_at_once
from trainer.sweep.pilot import PilotError
from trainer.sweep.points import Point

MIB = 2**20
CONFIG = load_config(["data.name=cifar10"]).config  # 50,000 images


def line_of(fixed: int, each: int, free: int) -> Callable[[int], Memory]:
    """Return a device with `free` MiB, on which a run takes `fixed` MiB, and `each` for an image."""
    return lambda images: Memory((fixed + each * images) * MIB, free * MIB, True)


@pytest.mark.parametrize(
    ("device", "images", "why"),
    [
        (line_of(500, 1, 5000), 2048, "4096 images leave fewer than 20 updates an epoch"),
        (line_of(500, 10, 5000), 256, "512 images would take 5.49 of 3.9 GiB"),
        (line_of(500, 50, 5000), 64, "128 images would take 6.74 of 3.9 GiB"),
        (line_of(500, 80, 5000), 32, "64 images take 5.49 of 3.9 GiB"),
    ],
)
def test_the_largest_batch_is_one_that_was_measured_and_fits(
    device: Callable[[int], Memory], images: int, why: str
) -> None:
    tried: list[int] = []
    said: list[str] = []

    def measure(count: int) -> Memory:
        tried.append(count)
        return device(count)

    found = largest_batch(CONFIG, measure, said.append)
    assert (found.images, found.why_no_more) == (images, why)
    assert [count for count, _ in found.curve] == [count for count in tried if count <= images]
    assert all(peak == device(count).peak <= 0.8 * device(count).free for count, peak in found.curve)
    assert len(said) == len(found.curve)


def test_what_does_not_fit_at_all_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"--batch-size: auto: 32 images take 5\.49 of 3\.9 GiB"):
        largest_batch(CONFIG, line_of(500, 160, 5000), lambda _: None)


def test_a_size_that_cannot_be_tried_ends_the_search() -> None:
    def measure(images: int) -> Memory:
        if images > 32:
            raise PilotError("OutOfMemoryError: CUDA out of memory")
        return Memory(MIB, 10 * MIB, True)

    found = largest_batch(CONFIG, measure, lambda _: None)
    assert (found.images, found.why_no_more) == (32, "64 images: OutOfMemoryError: CUDA out of memory")


def test_several_devices_are_refused() -> None:
    config = load_config(["train.devices=2", "train.device=cpu"]).config
    with pytest.raises(ConfigError, match=r"train\.devices is above 1"):
        largest_batch(config, line_of(1, 1, 1000), lambda _: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(
        "project: p\nmethod: grid\nmetric: {name: test/accuracy, goal: maximize}\n"
        'command: ["${env}", trainer, train, "${args_no_hyphens}"]\n'
        "parameters:\n  model.name: {values: [lenet5, resnet20]}\n  optimizer.lr: {values: [0.1, 0.2]}\n"
        "  data.name: {value: shapes10}\n  train.device: {value: cpu}\n  seed: {values: [0, 1]}\n"
    )
    return path


@pytest.mark.parametrize(("on_gpu", "count"), [(True, 4), (False, 2)])
def test_runs_at_once_are_those_of_the_largest_configuration(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: bool, count: int
) -> None:
    asked: list[str] = []

    def of_point(_: object, point: Point, sweep: Sweep, env: Mapping[str, str]) -> dict[str, Any]:
        asked.append(point.values["model.name"])
        return {"peak": (200 if asked[-1] == "resnet20" else 100) * MIB, "free": 1000 * MIB, "on_gpu": on_gpu}

    monkeypatch.setattr(memory, "of_point", of_point)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    said: list[str] = []
    assert runs_at_once([open_sweep(file, [], runs=tmp_path / "runs")], {}, said.append) == count
    assert sorted(asked) == ["lenet5", "resnet20"]  # a rate changes no size
    assert said == [
        f"--per-device {count}: a run takes up to 0.20 of 0.8 GiB{'' if on_gpu else ', and there are 2 cores'}"
    ]


def test_a_search_has_no_known_points(file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text().replace("method: grid", "method: random\nrun_cap: 3"))
    with pytest.raises(SweepError, match="--per-device: auto: s is a search, whose points are not known"):
        runs_at_once([open_sweep(file, [], runs=tmp_path / "runs")], {}, lambda _: None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--per-device", "0"], "error: --per-device 0: expected a number above 0, or auto\n"),
        (["--per-device", "many"], "error: --per-device many: expected a number above 0, or auto\n"),
        (
            ["--per-device", "auto", "--jobs", "2"],
            "error: --per-device auto: measures the devices of this machine; leave out --jobs and --ray\n",
        ),
    ],
)
def test_a_mistake_in_per_device_is_one_line(
    file: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["sweep", "run", str(file), *words]) == 2
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.batch_size=64"], "--batch-size: auto, and train.batch_size=64; give one of them"),
        (
            ["train.batch_schedule.sizes=[256]", "train.batch_schedule.from_epochs=[2]"],
            "--batch-size: auto: train.batch_schedule has sizes that are not measured; give a number",
        ),
        (
            ["data.name=cifar10", "data.download=false", "data.root=/nowhere"],  # before: with all overrides before it
            "--batch-size: auto: 32 images: cifar10: no images in /nowhere/cifar-10-batches-py (data.download=false).",
        ),
    ],
)
def test_a_batch_that_cannot_be_measured_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["train", "--model", "lenet5", "--data", "shapes10", "--batch-size", "auto", *words]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if not each.startswith("starting")]
    assert line.startswith(f"error: {said}")


def test_a_resumed_run_keeps_its_batch_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["train", "--resume", str(tmp_path / "run"), "--batch-size", "auto"]) == 2
    assert capsys.readouterr().err == (
        "error: --batch-size: auto: a resumed run keeps its batch size; leave --batch-size out\n"
    )


def test_a_batch_by_memory_is_measured_trained_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """200 images: batches of up to 8 leave 20 updates."""
    words = ["data.name=shapes10", "data.train_size=200", "model.name=lenet5", "train.device=cpu", "train.max_steps=1"]
    asked = [
        "train",
        *words,
        "sink.wandb.mode=disabled",
        "--batch-size",
        "auto",
        "--runs",
        str(tmp_path),
        "--name",
        "a",
    ]
    assert run_here(asked) == 0
    err = capsys.readouterr().err
    assert "train.batch_size=8 by measured memory (8: " in err and "16 images leave fewer than 20 updates" in err
    assert "batch_size: 8\n" in (tmp_path / "a" / "config.yaml").read_text()
