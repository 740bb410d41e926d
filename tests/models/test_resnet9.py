"""ResNet-9 and FastResNet-9 against their forward pass written out."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, measure, sketch_model
from models.layers import PatchWhitening
from models.resnet9 import WhitenedStem

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


@pytest.fixture
def stem() -> WhitenedStem:
    torch.manual_seed(0)
    net = build_model("fastresnet9", width=6, ghost_size=2).train()
    layers = net.get_submodule("features.stem")
    assert isinstance(layers, WhitenedStem)
    whitening = layers[0]
    assert isinstance(whitening, PatchWhitening)
    whitening.fit(F.avg_pool2d(torch.randn(200, 3, 18, 18), 3, stride=1))
    return layers.double()


def outputs_and_gradients(stem: nn.Module, images: Tensor, form: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
    x = images.clone().requires_grad_()
    out = form(x)
    trained = [p for p in stem.parameters() if p.requires_grad]
    assert len(trained) == 2  # the 1x1 convolution, and the norm's shift
    upstream = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return out, *torch.autograd.grad(out, [x, *trained], upstream)


def test_the_folded_whitening_equals_the_two_convolutions(stem: WhitenedStem, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(4, 3, 9, 9, dtype=torch.float64)
    apart = outputs_and_gradients(stem, images, stem)
    calls: list[nn.Module] = []
    stem[1].register_forward_hook(lambda layer, *_: calls.append(layer))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    folded = outputs_and_gradients(stem, images, stem)
    assert not calls
    torch.testing.assert_close(folded, apart, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        stem(images)  # as probes do
    stem.eval()(images)
    assert len(calls) == 2


def test_the_folded_whitening_rounds_as_the_two_convolutions_do(
    stem: WhitenedStem, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, stem = torch.randn(4, 3, 9, 9), stem.float()
    apart = outputs_and_gradients(stem, images, stem)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for ours, theirs in zip(outputs_and_gradients(stem, images, stem), apart, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6 * max(1.0, theirs.abs().max().item()))


def test_the_stem_compiles_as_one_graph(stem: WhitenedStem) -> None:
    """With its ghost BatchNorm, which would otherwise be a layer for each group."""
    plain, compiled = copy.deepcopy(stem), torch.compile(stem, backend="aot_eager", fullgraph=True)
    for size in (6, 6, 5):  # the last batch has groups of unequal size
        images = torch.randn(size, 3, 9, 9, dtype=torch.float64)
        found, expected = outputs_and_gradients(stem, images, compiled), outputs_and_gradients(plain, images, plain)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(stem.state_dict(), plain.state_dict(), rtol=1e-9, atol=1e-9)
