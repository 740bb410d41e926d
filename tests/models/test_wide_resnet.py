"""Wide ResNet against timm's pre-activation block and a plain functional forward with the same weights."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models.resnetv2 import DownsampleConv, PreActBasic
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, sketch_model
from models.wide_resnet import WideBlock, wide_resnet


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(4, 8, 1), (4, 8, 2), (8, 8, 1)])
def test_a_block_equals_timms(c_in: int, c_out: int, stride: int) -> None:
    block = WideBlock(c_in, c_out, stride, 0.0, nn.BatchNorm2d, "relu")

    def conv(c_in: int, c_out: int, kernel: int, stride: int = 1, **_: Any) -> nn.Conv2d:
        return nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2)

    reference = PreActBasic(
        c_in, c_out, stride=stride, conv_layer=conv, norm_layer=BatchNormAct2d, proj_layer=DownsampleConv
    )
    weights = dict(block.named_parameters())
    ours = ["activate.0", "residual.0", "residual.1", "residual.4", *(["shortcut"] if c_in != c_out else [])]
    for name, place in zip(ours, ["norm1", "conv1", "norm2", "conv2", "downsample.conv"], strict=False):
        for kind in ("weight", "bias"):
            weights[f"{name}.{kind}"].data = nn.init.normal_(reference.get_parameter(f"{place}.{kind}")).data
    maps = torch.randn(2, c_in, 6, 6)
    torch.testing.assert_close(block(maps), reference(maps), rtol=1e-5, atol=1e-5)


def test_the_network_equals_a_plain_forward() -> None:
    net = wide_resnet(depth=2, k=1, dropout=0.3, act="relu", norm="batch", num_classes=3, in_channels=2).eval()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for each in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert each is not None
                nn.init.uniform_(each, 0.1, 1)
    images = torch.randn(2, 2, 8, 8)
    weights = iter(net.state_dict().values())
    conv = partial(_conv, weights)
    x = conv(images, padding=1)
    for stride, widens in [(1, False), (1, False), (2, True), (1, False), (2, True), (1, False)]:
        active = _norm(x, weights).relu()
        block = conv(active, stride=stride, padding=1)
        block = conv(_norm(block, weights).relu(), padding=1)
        x = block + (conv(active, stride=stride) if widens else x)
    x = _norm(x, weights).relu()
    weight, bias = weights
    torch.testing.assert_close(net(images), x.mean((2, 3)) @ weight.T + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "blocks"), [("wide_resnet16x8", 6), ("wide_resnet28x10", 12)])
def test_each_block_drops_out_between_its_convolutions(name: str, blocks: int) -> None:
    parts = [block.residual for block in sketch_model(name).modules() if isinstance(block, WideBlock)]
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, nn.Conv2d]
    assert [[type(layer) for layer in part] for part in parts] == [kinds] * blocks
    assert {layer.p for part in parts for layer in part if isinstance(layer, nn.Dropout)} == {0.3}


def test_weights_start_as_in_he_et_al_2015() -> None:
    net = build_model("wide_resnet16x8")
    weight = net.get_parameter("features.stage1.0.residual.4.weight")
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert not [key for key, p in net.named_parameters() if key.endswith("bias") and p.any()]


def _conv(weights: Iterator[Tensor], x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    weight, bias = islice(weights, 2)
    return F.conv2d(x, weight, bias, stride, padding)


def _norm(x: Tensor, weights: Iterator[Tensor]) -> Tensor:
    weight, bias, mean, var, _ = islice(weights, 5)
    return F.batch_norm(x, mean, var, weight, bias)
