"""A trained run of a network so small that its whole Hessian fits in memory."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.training.run import start_run


@pytest.fixture(scope="session")
def trained_overrides(image_folder: Path) -> list[str]:
    """Return the overrides of a run with convolutions, BatchNorm, dropout: 120 weights, 3 epochs of 6 steps."""
    return [
        "data.name=folder",
        f"data.root={image_folder}",
        "data.image_size=8",
        "model.name=handmade_cnn",
        "model.channels=[2,2]",
        "train.epochs=3",
        "train.batch_size=8",
        "train.device=cpu",
        "train.precision=float32",  # as landscapes are measured: `auto` is bfloat16 on some processors
        "augment.crop.padding=1",
        "sink.console.mode=off",
        "sink.wandb.mode=disabled",
        "probe.path.every_epochs=1",
    ]


@pytest.fixture(scope="session")
def trained_run(trained_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder for all tests. Do not write to it."""
    return start_run(load_config(trained_overrides).config, runs=tmp_path_factory.mktemp("runs"), name="tiny").folder
