"""A trained run of a network so small that its whole Hessian can be written down."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.training.run import start_run


@pytest.fixture(scope="session")
def trained_words(image_folder: Path) -> list[str]:
    """Convolutions, BatchNorm, dropout: 120 weights, 3 epochs of 6 steps."""
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
def trained_run(trained_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to; results go elsewhere."""
    return start_run(load_config(trained_words).config, runs=tmp_path_factory.mktemp("runs"), name="tiny").folder
