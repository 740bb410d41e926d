"""Random directions as long as the network's filters, and principal directions of a path."""

import numpy as np
import pytest
import torch
from torch import nn

from trainer.landscape.directions import cosine, filter_normalised, principal_directions
from trainer.seeds import generator


def parameters() -> list[torch.Tensor]:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1, groups=2), nn.Linear(6, 5))
    return [parameter.detach() for parameter in net.parameters()]


def test_each_filter_of_a_direction_is_as_long_as_the_networks_and_what_is_no_filter_stays() -> None:
    weights = parameters()
    weights[0][2] *= 100
    weights[0][1] = 0
    for w, d in zip(weights, filter_normalised(weights, generator(0)), strict=True):
        assert d.shape == w.shape
        if w.ndim < 2:
            assert not d.any()
        for one, other in zip(w, d, strict=True) if w.ndim > 1 else ():
            assert other.norm().item() == pytest.approx(one.norm().item(), rel=1e-5)


def test_a_rescaled_filter_has_a_rescaled_direction_so_that_the_surface_is_the_same() -> None:
    """The purpose of the normalisation (Li et al. 2018, section 4): with BatchNorm a filter's scale has no effect."""
    weights = parameters()
    before = filter_normalised(weights, generator(0))[0]
    weights[0] *= 7
    torch.testing.assert_close(filter_normalised(weights, generator(0))[0], 7 * before)


def test_random_directions_are_drawn_from_the_generator_alone_and_nearly_orthogonal() -> None:
    weights = [torch.randn(100, 100)]
    first, again, second = (filter_normalised(weights, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert cosine(first, again) == pytest.approx(1)
    assert abs(cosine(first, second)) < 5 / 100  # sd 1 / sqrt(10,000)


def test_principal_directions_are_those_of_numpys_svd() -> None:
    path = np.random.default_rng(0).normal(size=(7, 40)).cumsum(0).astype(np.float32)
    directions, shares = principal_directions(torch.from_numpy(path), 3)
    _, lengths, expected = np.linalg.svd((path - path.mean(0)).astype(np.float64), full_matrices=False)
    assert np.abs((directions.double().numpy() * expected[:3]).sum(1)) == pytest.approx(1, abs=1e-6)
    assert shares.numpy() == pytest.approx(lengths[:3] ** 2 / (lengths**2).sum(), rel=1e-5)
    assert (directions @ directions.mT).numpy() == pytest.approx(np.eye(3), abs=1e-5)
    assert ((directions @ torch.from_numpy(path[0] - path[-1])) > 0).all()


def test_a_straight_path_has_one_direction() -> None:
    path = torch.arange(5.0)[:, None] * torch.tensor([3.0, 0.0, -4.0])
    directions, shares = principal_directions(path, 1)
    torch.testing.assert_close(directions, torch.tensor([[-0.6, 0.0, 0.8]]))
    assert shares.item() == pytest.approx(1)
    with pytest.raises(ValueError, match="fewer than 2 directions"):
        principal_directions(path, 2)
    with pytest.raises(ValueError, match="fewer than 1 directions"):
        principal_directions(torch.ones(1, 3), 1)
