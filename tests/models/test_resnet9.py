"""ResNet-9 and FastResNet-9 against their forward pass written out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, measure, sketch_model

SLOW = {"whitening": False, "pool_first": False, "ghost_size": 0, "logit_scale": 1.0}  # fastresnet9 without its tricks


@pytest.mark.parametrize(
    ("name", "arguments", "written_out"),
    [
        ("resnet9", {}, SLOW),
        ("fastresnet9", {"ghost_size": 2}, {"ghost_size": 2}),
        ("fastresnet9", {"ghost_size": 2, "whitening": False}, {"ghost_size": 2, "whitening": False}),
        ("fastresnet9", {"ghost_size": 2, "pool_first": False}, {"ghost_size": 2, "pool_first": False}),
        ("fastresnet9", SLOW, SLOW),
    ],
)
def test_logits_equal_those_of_the_forward_pass_written_out(
    name: str, arguments: dict[str, Any], written_out: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    net = build_model(name, width=4, **arguments).train()
    for p in net.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)  # the norms' scales and shifts
    images = torch.randn(4, 3, 32, 32)
    expected = _forward(images, list(net.parameters()), **written_out)
    torch.testing.assert_close(net(images), expected, rtol=1e-5, atol=1e-5)


def _forward(
    x: Tensor,
    weights: list[Tensor],
    *,
    whitening: bool = True,
    pool_first: bool = True,
    ghost_size: int,
    logit_scale: float = 0.125,
) -> Tensor:
    left = iter(weights)

    def conv(x: Tensor) -> Tensor:
        weight = next(left)
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)

    def norm_act(x: Tensor) -> Tensor:
        scale, shift = next(left), next(left)
        groups = x.split(ghost_size or len(x))
        return F.gelu(torch.cat([F.batch_norm(g, None, None, scale, shift, training=True) for g in groups]))

    def unit(x: Tensor) -> Tensor:
        return norm_act(conv(x))

    def halving(x: Tensor) -> Tensor:
        return norm_act(F.max_pool2d(conv(x), 2)) if pool_first else F.max_pool2d(unit(x), 2)

    x = norm_act(conv(conv(x))) if whitening else unit(x)
    x = halving(x)
    x = x + unit(unit(x))
    x = halving(halving(x))
    x = x + unit(unit(x))
    return x.amax((2, 3)) @ next(left).T * logit_scale


@pytest.mark.parametrize(
    ("name", "arguments", "trained"),
    [
        ("resnet9", {}, 6_573_120),
        ("fastresnet9", {}, 6_570_880),  # without 729 weights of the whitening and 2,240 scales
        ("fastresnet9", {"fixed_scale": False}, 6_573_120),
        ("fastresnet9", {"fixed_scale": False, "whitening": False}, 6_573_120),
    ],
)
def test_the_whitening_and_fixed_scales_are_not_trained(name: str, arguments: dict[str, Any], trained: int) -> None:
    assert measure(sketch_model(name, **arguments), (3, 32, 32))["trainable_parameters"] == trained
