"""Norm, distance and cosine of vectors with many entries."""

import pytest
import torch
from torch import nn

from trainer.probes.gradients import change, distance, flat, norm


def test_ten_million_entries_cost_no_digit() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 10_000_000, generator=draw)
    moved = change(a, b, norm(b))
    x, y = a.double(), b.double()
    assert norm(a).item() == pytest.approx(x.norm().item(), rel=1e-6)
    assert moved.norm.item() == pytest.approx(x.norm().item(), rel=1e-6)
    assert distance(a, b).item() == pytest.approx((x - y).norm().item(), rel=1e-6)
    assert moved.distance.item() == pytest.approx((x - y).norm().item(), rel=1e-6)
    assert moved.cosine.item() == pytest.approx((x @ y / x.norm() / y.norm()).item(), abs=1e-7)


def test_a_small_change_of_a_large_gradient_is_not_lost() -> None:
    old = torch.full((1000,), 1000.0)
    new = old.clone()
    new[7] += 0.5
    assert change(new, old, norm(old)).distance.item() == 0.5


def test_weights_and_their_gradients_are_laid_out_alike_with_channels_innermost_too() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1)).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    net(torch.randn(2, 3, 8, 8)).square().sum().backward()
    weights = [p.detach() for p in net.parameters()]
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    entrywise = sum(float((p.double() * g.double()).sum()) for p, g in zip(weights, gradients, strict=True))
    assert torch.dot(flat(weights).double(), flat(gradients).double()).item() == pytest.approx(entrywise, rel=1e-9)
    assert flat(weights).data_ptr() != weights[0].data_ptr()
