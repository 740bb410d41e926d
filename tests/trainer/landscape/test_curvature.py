"""Lanczos and Hutchinson on matrices that are known in full."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn import functional as F

from models.layers import GhostBatchNorm, HandmadeBatchNorm
from trainer.landscape.curvature import Lanczos, Product, hessian_product, mean_and_error, rademacher
from trainer.seeds import generator


def symmetric(eigenvalues: Sequence[float], seed: int = 0) -> Tensor:
    """Return a symmetric matrix with these eigenvalues and random eigenvectors."""
    draw = torch.Generator().manual_seed(seed)
    turned, _ = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), generator=draw, dtype=torch.float64))
    return turned @ torch.tensor(eigenvalues, dtype=torch.float64).diag() @ turned.mT


def after(product: Product, size: int, steps: int, dtype: torch.dtype = torch.float64) -> Lanczos:
    lanczos = Lanczos(product, lambda k: torch.randn(size, generator=generator(0, k)).to(dtype), steps)
    for _ in range(lanczos.steps):
        lanczos.step()
    return lanczos


def bowl_products(a: Tensor) -> Product:
    """Return products with the Hessian of L(w) = w A w / 2 + b w, by differentiation, in two parts like two chunks."""
    w = nn.Parameter(torch.randn(len(a), dtype=a.dtype))
    parts: list[Callable[[], Tensor]] = [lambda: w @ a @ w / 3 + w.sum(), lambda: w @ a @ w / 6]
    return lambda v: hessian_product(parts, [w], v)


def test_as_many_steps_as_weights_give_every_curvature_of_a_quadratic() -> None:
    curvatures = [-3.0, -0.5, *np.linspace(0, 1, 20), 10.0, 100.0]
    ritz = after(bowl_products(symmetric(curvatures)), 24, 40).ritz()
    assert ritz.values.numpy() == pytest.approx(sorted(curvatures, reverse=True), abs=1e-10)
    assert ritz.residuals.max() < 1e-10


def test_the_largest_curvatures_of_a_large_quadratic_come_first_in_float32() -> None:
    curvatures = [*np.linspace(-1, 1, 495), 3.0, 6.0, 12.0, 25.0, 50.0]
    ritz = after(bowl_products(symmetric(curvatures).float()), 500, 40, torch.float32).ritz()
    assert ritz.values[:5].numpy() == pytest.approx([50, 25, 12, 6, 3], rel=1e-4)
    assert ritz.residuals[:5].max() < 1e-3


@pytest.mark.parametrize("steps", [5, 10, 20])
def test_an_eigenvalue_is_within_the_residual_of_each_ritz_value(steps: int) -> None:
    eigenvalues = np.random.default_rng(0).normal(size=100)
    ritz = after(bowl_products(symmetric(list(eigenvalues))), 100, steps).ritz()
    nearest = np.abs(ritz.values.numpy()[:, None] - eigenvalues).min(1)
    assert (nearest <= ritz.residuals.numpy() + 1e-12).all()
    assert ritz.residuals.max() > 0.1  # and is large before convergence


def test_a_curvature_that_is_there_three_times_is_found_three_times() -> None:
    ritz = after(bowl_products(symmetric([7.0, 7.0, 7.0, 2.0, 2.0, 0.0])), 6, 10).ritz()
    assert ritz.values.numpy() == pytest.approx([7, 7, 7, 2, 2, 0], abs=1e-9)


def test_a_linear_loss_and_a_weight_that_is_not_used_have_no_curvature() -> None:
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    product = hessian_product([lambda: used.sum() * 2], [used, unused], torch.ones(5))
    assert not product.any()
    bent = hessian_product([lambda: used.pow(2).sum()], [used, unused], torch.ones(5))
    assert bent.tolist() == [2, 2, 2, 0, 0]
    flat = after(lambda v: hessian_product([used.sum], [used, unused], v), 5, 3, torch.float32).ritz()
    assert flat.values.tolist() == [0, 0, 0]


@pytest.mark.parametrize("training", [False, True], ids=["running statistics", "batch statistics"])
@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(3), GhostBatchNorm(3, ghost_size=4), HandmadeBatchNorm(3)], ids=lambda n: type(n).__name__
)
def test_lanczos_finds_the_eigenvalues_of_a_networks_whole_hessian(norm: nn.Module, training: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), copy.deepcopy(norm), nn.CELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    ).double().train(training)  # fmt: skip
    images, labels = torch.randn(12, 2, 6, 6, dtype=torch.float64), torch.arange(12) % 3
    names, shapes = zip(*((name, p.shape) for name, p in net.named_parameters()), strict=True)

    def loss_at(flat: Tensor) -> Tensor:
        pieces = flat.split([shape.numel() for shape in shapes])
        weights = {name: piece.view(shape) for name, piece, shape in zip(names, pieces, shapes, strict=True)}
        here = copy.deepcopy(net)
        return F.cross_entropy(functional_call(here, weights, (images,)), labels)

    parameters = list(net.parameters())
    flat = torch.cat([p.detach().flatten() for p in parameters])
    whole = hessian(loss_at, flat)
    assert isinstance(whole, Tensor)
    parts = [lambda: F.cross_entropy(net(images), labels)]
    v = torch.randn(len(flat), dtype=torch.float64)
    torch.testing.assert_close(hessian_product(parts, parameters, v), whole @ v)
    ritz = after(lambda v: hessian_product(parts, parameters, v), len(flat), 40).ritz()
    expected = torch.linalg.eigvalsh(whole)
    torch.testing.assert_close(ritz.values[:5], expected.flip(0)[:5], rtol=1e-4, atol=0)
    torch.testing.assert_close(ritz.values[-1], expected[0], rtol=1e-4, atol=0)


def test_one_vector_of_signs_gives_the_whole_trace_of_a_diagonal_hessian() -> None:
    diagonal = torch.linspace(-2, 5, 50)
    v = rademacher(50, generator(0))
    assert v.unique().tolist() == [-1, 1]
    assert (v @ bowl_products(diagonal.diag())(v)).item() == pytest.approx(diagonal.sum().item(), rel=1e-5)


def test_the_trace_is_within_its_error_which_is_as_large_as_theory_says() -> None:
    a = symmetric(list(np.random.default_rng(1).normal(1, 3, 60)))
    samples = [(v @ a @ v).item() for v in (rademacher(60, generator(0, i)).double() for i in range(400))]
    mean, error = mean_and_error(samples)
    assert mean is not None and error is not None
    assert abs(mean - a.trace().item()) < 3 * error
    off_diagonal = (a - a.diag().diag()).square().sum().item()  # var(v A v) = 2 (|A|^2 - sum A_ii^2), Hutchinson 1990
    assert error == pytest.approx((2 * off_diagonal / 400) ** 0.5, rel=0.15)


def test_too_few_samples_have_no_mean_or_no_error() -> None:
    assert mean_and_error([]) == (None, None)
    assert mean_and_error([2.0]) == (2.0, None)
