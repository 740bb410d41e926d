"""The networks of airbench against their forward pass written out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, measure, sketch_model


@pytest.mark.parametrize(("name", "depth"), [("airbench94", 2), ("airbench96", 3)])
def test_logits_equal_those_of_the_forward_pass_written_out(name: str, depth: int) -> None:
    torch.manual_seed(0)
    net = build_model(name, widths=(4, 6, 8)).train()
    for p in net.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)  # scales and shifts, and the whitening's bias
    images = torch.randn(4, 3, 32, 32)
    expected = _forward(images, list(net.parameters()), depth=depth)
    torch.testing.assert_close(net(images), expected, rtol=1e-5, atol=1e-5)


def _forward(x: Tensor, weights: list[Tensor], *, depth: int) -> Tensor:
    left = iter(weights)

    def norm(x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, next(left), next(left), training=True)

    x = F.gelu(F.conv2d(x, next(left), next(left)))
    for _ in range(3):
        x = halved = F.gelu(norm(F.max_pool2d(F.conv2d(x, next(left), padding=1), 2)))
        x = norm(F.conv2d(x, next(left), padding=1))
        if depth == 3:
            x = halved + norm(F.conv2d(F.gelu(x), next(left), padding=1))
        x = F.gelu(x)
    return F.max_pool2d(x, 3).flatten(1) @ next(left).T / 9


@pytest.mark.parametrize(
    ("name", "arguments", "trained"),
    [  # 1 bias a filter of the whitening, then of each group its convolutions and shifts, then the head
        ("airbench94", {}, 24 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + 2 * (64 + 256 + 256) + 2560),
        ("airbench94", {"whitening_bias": False, "fixed_scale": False}, 1_971_352 - 24 + 2 * (64 + 256 + 256)),
        ("airbench95", {}, 24 + 9 * (24 * 128 + 128**2 + 128 * 384 + 3 * 384**2) + 2 * (128 + 384 + 384) + 3840),
    ],
)
def test_the_whitening_and_fixed_scales_are_not_trained(name: str, arguments: dict[str, Any], trained: int) -> None:
    assert measure(sketch_model(name, **arguments), (3, 32, 32))["trainable_parameters"] == trained


@pytest.mark.parametrize("side", [18, 24, 28, 32, 48])
def test_images_of_other_sides_fit(side: int) -> None:
    assert sketch_model("airbench94")(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 10)
