"""What the predicted time of a run is made of."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.config import load_config
from trainer.data.sources import load_image_set
from trainer.training.device import choose_compute
from trainer.training.loop import Loop, seconds_between_checkpoints
from trainer.training.pace import Pace, measure_pace
from trainer.training.run import build_parts


def test_the_evaluation_that_is_timed_has_the_views_of_the_run(
    small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: of all images, even if `tta_share` was below 1."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("trainer.training.pace.evaluate", lambda *_, **knobs: asked.append(knobs))
    measure_pace(load_config([*small_run, "train.tta=hflip", "train.tta_share=0.25"]).config)
    assert {(knobs["tta"], knobs["tta_share"]) for knobs in asked} == {("hflip", 0.25)}


@pytest.mark.parametrize(
    ("words", "apart", "saves"),
    [
        ([], 0, 11),  # at the start, and after each of 10 epochs of 2 s
        ([], 2, 11),
        ([], 5, 5),  # at the start, after epochs 3, 6 and 9, and at the end
        ([], 1e6, 2),
        (["train.checkpoint_every=4"], 5, 4),  # at the start, after 4 and 8, and at the end
        (["train.checkpoint_every=4"], 9, 3),
        (["train.max_steps=8"], 0, 3),  # of 40: in the second epoch it ends
    ],
)
def test_checkpoints_are_counted_as_far_apart_as_they_are_made(words: list[str], apart: float, saves: int) -> None:
    """Before: one each `checkpoint_every`, though they are at least 30 seconds apart on a GPU."""
    config = load_config(["train.epochs=10", *words]).config
    shape = {"steps_per_epoch": 4, "evaluated": 0, "tested": 0, "trained": 100}
    free, paid = (
        Pace(start=0, step=0.5, epoch=0, evaluation=0, checkpoint=each, probes=0, apart=apart, **shape).seconds(config)
        for each in (0, 7)
    )
    assert paid - free == pytest.approx(7 * saves)


def test_swa_passes_over_the_images_of_the_epochs_that_there_are() -> None:
    """Before: 1,000 averaged epochs of a run of 5 were forecast as 1,000 passes."""
    shape = {"steps_per_epoch": 4, "evaluated": 0, "tested": 0, "trained": 100}
    pace = Pace(start=0, step=0.5, epoch=0, evaluation=0.01, checkpoint=0, probes=0, apart=0, **shape)
    five, most = (
        pace.seconds(load_config(["train.epochs=5", f"train.swa.epochs={epochs}"]).config) for epochs in (5, 1000)
    )
    assert most == pytest.approx(five) and most < 20


@pytest.mark.parametrize("seconds", [0, 1e6])
def test_as_many_checkpoints_are_counted_as_a_run_makes(small_run: list[str], seconds: float, tmp_path: Path) -> None:
    config = load_config([*small_run, f"train.checkpoint_seconds={seconds}"]).config
    pace = measure_pace(config)
    assert pace.apart == seconds
    parts = build_parts(config, choose_compute(config.train), load_image_set(config.data, seed=0))
    kept: list[str] = []
    loop = Loop(parts, [], keep=lambda name, _: kept.append(name), stop_requested=lambda: False)
    loop.save_checkpoint()
    loop.fit()
    assert pace.checkpoints(config) == len(kept)


def test_null_is_thirty_seconds_on_a_gpu_and_none_elsewhere() -> None:
    train = load_config([]).config.train
    assert [seconds_between_checkpoints(train, torch.device(name)) for name in ("cuda", "cpu", "mps")] == [30, 0, 0]
    asked = train.model_copy(update={"checkpoint_seconds": 5.0})
    assert seconds_between_checkpoints(asked, torch.device("cuda")) == 5
