"""Ghost BatchNorm, patch whitening, pooling and layers by name against plain second implementations."""

from typing import Literal, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.layers import Act, GhostBatchNorm, PatchWhitening, PoolTo, activation, initialise


def test_ghost_norm_of_one_group_is_batch_norm() -> None:
    images = torch.randn(8, 5, 4, 4)
    ghost, batch = GhostBatchNorm(5, ghost_size=8), nn.BatchNorm2d(5)
    for norm in (ghost, batch):
        norm.train()
    torch.testing.assert_close(ghost(images), batch(images), rtol=0, atol=0)
    torch.testing.assert_close(ghost.state_dict(), batch.state_dict(), rtol=0, atol=0)


def test_each_group_is_normalised_by_its_own_statistics() -> None:
    images = torch.randn(12, 3, 4, 4) * torch.arange(1, 13).view(-1, 1, 1, 1)
    out = GhostBatchNorm(3, ghost_size=4).train()(images)
    for group, source in zip(out.split(4), images.split(4), strict=True):
        mean, var = source.mean((0, 2, 3), keepdim=True), source.var((0, 2, 3), correction=0, keepdim=True)
        torch.testing.assert_close(group, (source - mean) / (var + 1e-5).sqrt(), rtol=1e-5, atol=1e-5)


def test_running_statistics_equal_one_set_a_group_averaged_at_the_end() -> None:
    """FastResNet9's published code keeps a set per group; exponential averages being linear, it is the same."""
    ghost = GhostBatchNorm(3, ghost_size=4).train()
    sets = [nn.BatchNorm2d(3).train() for _ in range(3)]
    for _ in range(5):
        images = torch.randn(12, 3, 2, 2)
        ghost(images)
        for norm, group in zip(sets, images.split(4), strict=True):
            norm(group)
    for name in ("running_mean", "running_var"):
        averaged = torch.stack([norm.get_buffer(name) for norm in sets]).mean(0)
        torch.testing.assert_close(ghost.get_buffer(name), averaged)


@pytest.mark.parametrize(("n", "sizes"), [(11, [4, 4, 3]), (5, [5]), (13, [5, 4, 4])])
def test_a_batch_that_does_not_divide_makes_groups_of_nearly_one_size(n: int, sizes: list[int]) -> None:
    images = torch.randn(n, 2, 3, 3)
    out = GhostBatchNorm(2, ghost_size=4).train()(images)
    for group in out.split(sizes):
        torch.testing.assert_close(group.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)


def test_a_fixed_scale_gets_no_gradient_and_the_shift_does() -> None:
    norm = GhostBatchNorm(2, ghost_size=2, fixed_scale=True).train()
    norm(torch.randn(4, 2, 3, 3)).square().sum().backward()
    assert norm.weight.grad is None
    assert norm.bias.grad is not None


def test_whitened_patches_have_unit_covariance() -> None:
    torch.manual_seed(0)
    images = F.avg_pool2d(torch.randn(200, 3, 34, 34), 3, stride=1)  # neighbouring pixels alike, as in pictures
    layer = PatchWhitening()
    layer.fit(images)
    rows = F.conv2d(images, layer.weight).permute(0, 2, 3, 1).reshape(-1, 27).double()
    variances = (rows.T @ rows / len(rows)).diagonal()
    values = torch.linalg.eigvalsh(_patch_gram(images)).flip(0)
    torch.testing.assert_close(variances, values / (values + 1e-2), rtol=1e-3, atol=1e-4)
    off = rows.T @ rows / len(rows) - torch.diag(variances)
    assert off.abs().max() < 1e-3


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("side", [8, 9])  # divided by the size, and not
def test_pooling_to_a_size_is_torchs_adaptive_pooling(kind: Literal["max", "mean"], side: int) -> None:
    images = torch.randn(2, 3, side, 4)
    reference = {"max": F.adaptive_max_pool2d, "mean": F.adaptive_avg_pool2d}[kind]
    torch.testing.assert_close(PoolTo(4, kind)(images), reference(images, 4))


@pytest.mark.parametrize("name", get_args(Act))
def test_every_activation_is_a_function_of_each_value_that_keeps_its_input(name: Act) -> None:
    values = torch.linspace(-3, 3, 13)
    kept = values.clone()
    out = activation(name).eval()(values)
    assert torch.equal(values, kept)
    assert out.shape == values.shape
    assert not torch.equal(out, values)


def test_initial_weights_have_the_variance_of_their_scheme() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(32, 64, 3), nn.Linear(500, 300))
    expected = {"kaiming": (2 / (64 * 9), 2 / 500), "xavier": (2 / (96 * 9), 2 / 800), "torch": (1 / 864, 1 / 1500)}
    for init in ("torch", "kaiming", "xavier"):  # torch's first: it leaves the weights as the layers drew them
        initialise(net, init, paper="torch")
        for layer, variance in zip(net, expected[init], strict=True):
            assert layer.get_parameter("weight").var().item() == pytest.approx(variance, rel=0.05)
            assert (init == "torch") == bool(layer.get_parameter("bias").any())


def _patch_gram(images: torch.Tensor) -> torch.Tensor:
    patches = F.unfold(images, 3).transpose(1, 2).reshape(-1, 27).double()
    return patches.T @ patches / (len(patches) - 1)
