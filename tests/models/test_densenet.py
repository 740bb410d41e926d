"""DenseNet against torchvision's with the same weights."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.densenet import DenseNet

from models import build_model, sketch_model


@pytest.mark.parametrize(
    ("name", "growth", "depths"), [("densenet100_bc", 12, (16, 16, 16)), ("densenet121", 32, (6, 12, 24, 16))]
)
def test_outputs_and_statistics_equal_torchvisions(name: str, growth: int, depths: Any) -> None:
    reference = DenseNet(growth, depths, num_init_features=2 * growth, num_classes=10)
    reference.features.conv0 = nn.Conv2d(3, 2 * growth, 3, padding=1, bias=False)
    reference.features.norm0 = reference.features.relu0 = reference.features.pool0 = nn.Identity()
    for norm in reference.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
    net = build_model(name)
    net.load_state_dict(dict(zip(net.state_dict(), reference.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 16, 16)
    for training in (True, False):
        with torch.no_grad():
            expected, logits = reference.train(training)(images), net.train(training)(images)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(net.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_compression_is_the_part_of_channels_that_a_transition_keeps() -> None:
    net = sketch_model("densenet100_bc", growth=4, compression=0.3)
    conv = net.get_submodule("features.transition1.2")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.in_channels, conv.out_channels) == (2 * 4 + 16 * 4, 21)  # 0.3 * 72 = 21.6


def test_dropout_follows_each_convolution_but_the_first() -> None:
    layers = [m for m in sketch_model("densenet100_bc", dropout=0.2).modules() if isinstance(m, nn.Conv2d | nn.Dropout)]
    assert [type(layer) for layer in layers] == [nn.Conv2d] + [nn.Conv2d, nn.Dropout] * 98
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.2}


def test_weights_start_as_in_he_et_al_2015() -> None:
    net = build_model("densenet100_bc")
    weight = net.get_parameter("features.stage2.3.2.weight")  # 1x1 to 48 channels
    assert weight.std().item() == pytest.approx((2 / 48) ** 0.5, rel=0.03)
    assert not net.get_parameter("head.2.bias").any()


@pytest.mark.parametrize("compression", [0.0, 1.5])
def test_an_impossible_compression_is_refused(compression: float) -> None:
    with pytest.raises(ValueError, match=f"^compression={compression}: should be more than 0 and at most 1$"):
        sketch_model("densenet121", compression=compression)
