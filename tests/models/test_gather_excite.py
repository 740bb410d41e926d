"""Gather-excite against its formulas written out."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import Extent, GatherExcite


def test_global_without_parameters_weighs_each_map_by_the_sigmoid_of_its_mean() -> None:
    maps = torch.randn(2, 3, 8, 8)
    layer = GatherExcite(3, size=8, theta="minus")
    assert list(layer.parameters()) == []
    torch.testing.assert_close(layer(maps), maps * maps.mean((2, 3), keepdim=True).sigmoid())


@pytest.mark.parametrize("extent", [2, 4, 8])
@pytest.mark.parametrize("size", [8, 9])
def test_local_without_parameters_averages_the_neighbourhood_within_the_map(extent: Extent, size: int) -> None:
    maps = torch.randn(1, 2, size, size)
    expected = torch.empty_like(maps)
    cells = -(-size // extent)
    for y in range(size):
        for x in range(size):
            top, left = y * cells // size * extent, x * cells // size * extent  # the gathering point nearest before
            reach = extent - 1
            around = maps[:, :, max(0, top - reach) : top + reach + 1, max(0, left - reach) : left + reach + 1]
            expected[:, :, y, x] = maps[:, :, y, x] * around.mean((2, 3)).sigmoid()
    torch.testing.assert_close(GatherExcite(2, size=size, extent=extent, theta="minus")(maps), expected)


def test_global_with_parameters_weighs_every_pixel_then_mixes_channels() -> None:
    maps = torch.randn(2, 32, 4, 4)
    layer = GatherExcite(32, size=4).eval()
    kernel, *norm, down, up = _tensors(layer)
    assert kernel.shape == (32, 1, 4, 4) and down.shape == (2, 32, 1, 1) and up.shape == (32, 2, 1, 1)
    gathered = _normalised((maps * kernel[:, 0]).sum((2, 3), keepdim=True), norm)[:, :, 0, 0]
    gate = ((gathered @ down[:, :, 0, 0].T).relu() @ up[:, :, 0, 0].T).sigmoid()
    torch.testing.assert_close(layer(maps), maps * gate[:, :, None, None], rtol=1e-5, atol=1e-5)


def test_plain_is_plus_without_the_mixing() -> None:
    maps = torch.randn(2, 4, 4, 4)
    layer = GatherExcite(4, size=4, theta="plain").eval()
    kernel, *norm = _tensors(layer)
    gathered = _normalised((maps * kernel[:, 0]).sum((2, 3), keepdim=True), norm)
    torch.testing.assert_close(layer(maps), maps * gathered.sigmoid(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("extent", "halvings"), [(2, 1), (4, 2), (8, 3)])
def test_local_with_parameters_halves_until_a_gate_serves_extent_pixels(extent: Extent, halvings: int) -> None:
    maps = torch.randn(2, 4, 16, 16)
    layer = GatherExcite(4, size=16, extent=extent, theta="plain").eval()
    tensors = _tensors(layer)
    gathered = maps
    for i in range(halvings):
        kernel, *norm = tensors[5 * i : 5 * i + 5]
        gathered = _normalised(F.conv2d(gathered if i == 0 else gathered.relu(), kernel, None, 2, 1, 1, 4), norm)
    assert len(tensors) == 5 * halvings
    gate = gathered.sigmoid().repeat_interleave(extent, 2).repeat_interleave(extent, 3)
    torch.testing.assert_close(layer(maps), maps * gate, rtol=1e-5, atol=1e-5)


def test_the_norm_of_the_gathered_can_be_chosen() -> None:
    layer = GatherExcite(4, size=4, norm=lambda channels: nn.GroupNorm(1, channels))
    assert [type(each) for each in cast("nn.Sequential", layer.gather)] == [nn.Conv2d, nn.GroupNorm]


def test_an_extent_that_the_paper_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^extent=3: should be 0 \(global\), 2, 4 or 8$"):
        GatherExcite(4, size=4, extent=cast("Extent", 3))


def _tensors(layer: nn.Module) -> list[Tensor]:
    """Weights and buffers in their order, drawn at random, without the counts of batches."""
    kept = [tensor for name, tensor in layer.state_dict().items() if "num_batches" not in name]
    for tensor in kept:
        tensor.copy_(torch.rand_like(tensor) + 0.1 if tensor.ndim == 1 else torch.randn_like(tensor) / 4)
    return kept


def _normalised(maps: Tensor, norm: list[Tensor]) -> Tensor:
    weight, bias, mean, var = (each[:, None, None] for each in norm)
    return (maps - mean) / (var + 1e-5).sqrt() * weight + bias


@pytest.mark.parametrize("extent", [0, 2])
def test_its_gradient_reaches_every_parameter_in_bfloat16(extent: Extent) -> None:
    torch.manual_seed(0)
    layer = GatherExcite(32, size=4, extent=extent)
    with torch.autocast("cpu", torch.bfloat16):
        gated = layer(torch.randn(4, 32, 4, 4))
    gated.float().square().sum().backward()
    assert [key for key, p in layer.named_parameters() if p.grad is None or not p.grad.any()] == []
