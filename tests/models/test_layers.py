"""Ghost BatchNorm and patch whitening against plain second implementations."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models import build_model
from models.layers import GhostBatchNorm2d, PatchWhitening


def test_ghost_norm_of_one_group_is_batch_norm() -> None:
    images = torch.randn(8, 5, 4, 4)
    ghost, batch = GhostBatchNorm2d(5, ghost_size=8), nn.BatchNorm2d(5)
    for norm in (ghost, batch):
        norm.train()
    torch.testing.assert_close(ghost(images), batch(images), rtol=0, atol=0)
    torch.testing.assert_close(ghost.state_dict(), batch.state_dict(), rtol=0, atol=0)


def test_each_group_is_normalised_by_its_own_statistics() -> None:
    images = torch.randn(12, 3, 4, 4) * torch.arange(1, 13).view(-1, 1, 1, 1)
    out = GhostBatchNorm2d(3, ghost_size=4).train()(images)
    for group, source in zip(out.split(4), images.split(4), strict=True):
        mean, var = source.mean((0, 2, 3), keepdim=True), source.var((0, 2, 3), correction=0, keepdim=True)
        torch.testing.assert_close(group, (source - mean) / (var + 1e-5).sqrt(), rtol=1e-5, atol=1e-5)


def test_running_statistics_equal_one_set_a_group_averaged_at_the_end() -> None:
    """FastResNet9's published code keeps a set per group; exponential averages being linear, it is the same."""
    ghost = GhostBatchNorm2d(3, ghost_size=4).train()
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
    out = GhostBatchNorm2d(2, ghost_size=4).train()(images)
    for group in out.split(sizes):
        torch.testing.assert_close(group.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)


def test_a_fixed_scale_gets_no_gradient_and_the_shift_does() -> None:
    norm = GhostBatchNorm2d(2, ghost_size=2, fixed_scale=True).train()
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


def test_whitening_is_frozen_and_comes_before_training() -> None:
    net = build_model("fastresnet9", width=4)
    images = torch.randn(50, 3, 32, 32)
    first = net.get_submodule("features.0.0")
    before = first.get_parameter("weight").clone()
    net.prepare(images)  # pyright: ignore[reportCallIssue]
    assert not torch.equal(first.get_parameter("weight"), before)
    assert not first.get_parameter("weight").requires_grad


def _patch_gram(images: torch.Tensor) -> torch.Tensor:
    patches = F.unfold(images, 3).transpose(1, 2).reshape(-1, 27).double()
    return patches.T @ patches / (len(patches) - 1)
