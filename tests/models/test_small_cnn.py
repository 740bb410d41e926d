"""LeNet-5, AlexNet and the three networks of report dfbc against their forward passes written out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, sketch_model
from models.network import Network

Weights = list[Tensor]  # all parameters, first to last


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    return F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)


def _norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, training=True)


def _lenet5(x: Tensor, w: Weights) -> Tensor:
    x = F.max_pool2d(F.conv2d(x, w[0], w[1]).relu(), 2)
    x = F.max_pool2d(F.conv2d(x, w[2], w[3]).relu(), 2)
    x = F.linear(x.flatten(1), w[4], w[5]).relu()
    return F.linear(F.linear(x, w[6], w[7]).relu(), w[8], w[9])


def _alexnet(x: Tensor, w: Weights) -> Tensor:
    x = F.max_pool2d(_conv(x, w[0], w[1], stride=4).relu(), 2)
    x = F.max_pool2d(_conv(x, w[2], w[3]).relu(), 2)
    x = _conv(_conv(x, w[4], w[5]).relu(), w[6], w[7]).relu()
    x = F.max_pool2d(_conv(x, w[8], w[9]).relu(), 2)
    return F.linear(x.flatten(1), w[10], w[11])


def _basic_cnn(x: Tensor, w: Weights) -> Tensor:
    for i in (0, 2, 4):
        x = F.max_pool2d(_conv(x, w[i], w[i + 1]).relu(), 2)
    return F.linear(F.linear(x.flatten(1), w[6], w[7]).relu(), w[8], w[9])


def _improved_cnn(x: Tensor, w: Weights) -> Tensor:
    for i in range(6):
        weight, bias, scale, shift = w[4 * i : 4 * i + 4]
        x = _norm(_conv(x, weight, bias), scale, shift).relu()
        if i % 2:
            x = F.max_pool2d(x, 2)
    x = _norm(F.linear(x.flatten(1), w[24], w[25]), w[26], w[27]).relu()
    return F.linear(x, w[28], w[29])


def _residual_cnn(x: Tensor, w: Weights) -> Tensor:
    left = iter(w)

    def conv_norm(x: Tensor, stride: int = 1) -> Tensor:
        return _norm(_conv(x, next(left), stride=stride), next(left), next(left))

    x = conv_norm(x).relu()
    for stride, projected in ((1, False), (1, False), (2, True), (1, False), (2, True), (1, False)):
        out = conv_norm(conv_norm(x, stride).relu())
        x = (out + (conv_norm(x, stride) if projected else x)).relu()
    x = F.avg_pool2d(x, 2)  # 8x8 to 4x4
    return F.linear(x.flatten(1), next(left), next(left))


@pytest.mark.parametrize(
    ("name", "forward"),
    [
        ("lenet5", _lenet5),
        ("alexnet", _alexnet),
        ("basic_cnn", _basic_cnn),
        ("improved_cnn", _improved_cnn),
        ("residual_cnn", _residual_cnn),
    ],
)
def test_logits_equal_those_of_the_forward_pass_written_out(
    name: str, forward: Callable[[Tensor, Weights], Tensor]
) -> None:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"dropout": 0.0} if name == "improved_cnn" else {}
    net = build_model(name, **arguments).train()
    for p in net.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)  # biases, and the norms' scales and shifts
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(net(images), forward(images, list(net.parameters())), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("lenet5", {"image_size": 16}, 16),
        ("alexnet", {"image_size": 29}, 29),
        ("alexnet", {"image_size": 64}, 64),
        ("basic_cnn", {"image_size": 8}, 8),
        ("improved_cnn", {"image_size": 47}, 47),
        ("residual_cnn", {}, 8),
        ("residual_cnn", {}, 64),
    ],
)
def test_the_head_fits_images_of_other_sizes(name: str, arguments: dict[str, int], size: int) -> None:
    images = torch.empty(2, 1, size, size, device="meta")
    assert sketch_model(name, in_channels=1, num_classes=3, **arguments)(images).shape == (2, 3)


def test_dropout_comes_right_before_the_classifier() -> None:
    net = sketch_model("improved_cnn", dropout=0.3)
    assert isinstance(net, Network)
    *_, dropout, classifier = net.head.children()
    assert isinstance(dropout, nn.Dropout) and dropout.p == 0.3
    assert isinstance(classifier, nn.Linear)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("lenet5", {"image_size": 15}, "image_size=15: should be at least 16"),
        ("alexnet", {"image_size": 28}, "image_size=28: should be at least 29"),
        ("basic_cnn", {"image_size": 7}, "image_size=7: should be at least 8"),
        ("improved_cnn", {"image_size": 7}, "image_size=7: should be at least 8"),
    ],
)
def test_an_impossible_value_is_named(name: str, arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}[^\n]*$"):
        sketch_model(name, **arguments)
