"""Runs that are exported: an epoch of small networks on a folder of images, trained once."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.training.network_arguments import complete_parts
from trainer.training.run import start_run

OWN = '''
from torch import nn

class Tied(nn.Module):
    """One layer has two names, so that two names of its state share memory."""

    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.first = self.again = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(12, width), nn.Linear(width, num_classes))

    def forward(self, images):
        return self.head(self.again(self.first(images).relu()))

class Counting(Tied):
    """It reads the number of images as a number."""

    def forward(self, images):
        return super().forward(images.reshape(int(len(images)), 3, 8, 8)) + float(len(images) * 0)
'''
NORMED = """
from torch import nn

def Normed(num_classes: int):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, num_classes))
"""
BOTH = {
    "ghost": ["model.name=fastresnet9", "model.width=2", "model.ghost_size=4"],
    "timms": ["model.name=timm/test_resnet"],
}
SWEEP = """# Which rate?
program: trainer
method: grid
metric: {name: test/accuracy, goal: maximize}
parameters:
  optimizer.lr: {values: [0.1, 0.001]}
  seed: {values: [0, 1, 2]}
"""


@pytest.fixture(scope="session")
def exported_runs(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each network: `ghost`, `timms`, `small_stem`, `tied` and `counting`."""
    runs = tmp_path_factory.mktemp("exported")
    (runs / "my-nets.py").write_text(OWN, encoding="utf-8")
    for name, network in {
        **BOTH,
        "small_stem": ["model.name=timm/test_resnet", "model.stem=cifar"],
        "tied": [f"model.name={runs / 'my-nets.py'}:Tied", "model.width=5"],
        "counting": [f"model.name={runs / 'my-nets.py'}:Counting"],
    }.items():
        train(runs, name, image_folder, network)
    return runs


@pytest.fixture(scope="session")
def forgetful_runs(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each network, with a momentum of 0.4: `ghost`, `timms`, `handmade` and `own`."""
    runs = tmp_path_factory.mktemp("forgetful")
    (runs / "normed.py").write_text(NORMED, encoding="utf-8")
    for name, network in {
        **BOTH,
        "handmade": ["model.name=handmade_cnn", "model.channels=[4, 4]"],
        "own": [f"model.name={runs / 'normed.py'}:Normed"],
    }.items():
        train(runs, name, image_folder, ["model.norm_momentum=0.4", *network])
    return runs


@pytest.fixture(scope="session")
def swept_runs(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep: two rates, three seeds each."""
    runs = tmp_path_factory.mktemp("runs") / "rates"
    for rate in (0.1, 0.001):
        for seed in range(3):
            words = ["model.name=handmade_cnn", "model.channels=[4, 4]", f"optimizer.lr={rate}", f"seed={seed}"]
            train(runs, f"{rate}-{seed}", image_folder, words)
    (runs / "rates.yaml").write_text(SWEEP, encoding="utf-8")
    return runs


def train(runs: Path, name: str, images: Path, overrides: list[str]) -> Path:
    """Train a run of one epoch on 8x8 images, and return its folder."""
    words = [
        "data.name=folder", f"data.root={images}", "data.image_size=8", "train.epochs=1", "train.batch_size=8",
        "train.device=cpu", "augment.crop.padding=1", "sink.wandb.mode=disabled",
    ]  # fmt: skip
    config = load_config([*words, *overrides], recipe="none", complete=complete_parts).config
    return start_run(config, runs=runs, name=name).folder
