"""An own network, and a config of it on two classes of 8x8 pixels in `images`: two steps an epoch."""

from typing import Any

import pytest

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.training.network_arguments import complete_parts

NET = """
from typing import Callable
from torch import nn

class Net(nn.Module):
    def __init__(self, width: int = 4, scale=1.0, norm: Callable = nn.Identity, *, num_classes, in_channels):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(in_channels, width, 3), norm(), nn.Linear(width, num_classes)
        self.scale = scale

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).mean((2, 3))) * self.scale
"""
TINY = [
    "data.name=folder", "data.root=images", "data.image_size=8", "train.batch_size=24", "train.epochs=1",
    "augment.crop.padding=1", "sink.wandb.mode=disabled", "recipe=none",
]  # fmt: skip
SMALL = ["model.name=fastresnet9", "model.width=2", "model.ghost_size=4"]


def load(*words: str) -> Any:
    return load_config([*TINY, *words], complete=complete_parts).config


def problems(*words: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        load(*words)
    return error.value.problems
