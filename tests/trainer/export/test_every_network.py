"""Every network that has a name, exported with random weights: the logits are ours to within 1e-4."""

from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from models import model_names
from models.layers import HandmadeBatchNorm
from trainer.config import load_config
from trainer.data.batches import Normalize
from trainer.data.images import ImageSet, Split
from trainer.export.formats import Format
from trainer.export.hub import write_hub_folder
from trainer.export.network import ExportedNetwork
from trainer.export.onnx import write_onnx
from trainer.export.safetensors import write_safetensors
from trainer.export.timm import write_timm
from trainer.training.device import choose_compute
from trainer.training.losses import build_loss
from trainer.training.network_arguments import complete_parts
from trainer.training.networks import build_network

WRITERS = {"safetensors": write_safetensors, "onnx": write_onnx, "timm": write_timm, "hub-folder": write_hub_folder}


@cache
def random_images() -> ImageSet:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (32, 3, 32, 32), generator=draw, dtype=torch.uint8)
    split = Split(images, torch.arange(32) % 10)
    return ImageSet(
        "random", tuple("abcdefghij"), (0.5, 0.4, 0.3), (0.25, 0.24, 0.23), split, split.select(torch.arange(8))
    )


def untrained(name: str, folder: Path) -> ExportedNetwork:
    """Return a network with random weights, and running statistics of random images, as a run of an epoch would."""
    words = [f"model.name={name}", "train.device=cpu", "train.precision=float32", "train.channels_last=false"]
    config = load_config(words, recipe="none", complete=complete_parts).config
    images = random_images()
    torch.manual_seed(0)
    model = build_network(config.model, images)
    compute, normalize = choose_compute(config.train), Normalize(images.mean, images.std)
    for layer in model.modules():
        if isinstance(layer, _BatchNorm | HandmadeBatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        model.train()(normalize(images.train.images))
    loss = build_loss(config.loss, 10)
    return ExportedNetwork(
        config, model.eval(), 0.0, images, compute, normalize, loss, "", path=folder, checked=8, settings={}
    )


def test_each_format_has_a_writer() -> None:
    assert list(WRITERS) == list(get_args(Format))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "timm"])
@pytest.mark.parametrize("name", model_names())
def test_the_logits_are_ours(name: str, form: str, tmp_path: Path) -> None:
    network = untrained(name, tmp_path)
    scale = min(1.0, network.logits.abs().max().item())  # those of an untrained VGG-E are below 1e-3
    assert 0 < WRITERS[form](network, tmp_path / "exported") <= 1e-4 * scale
