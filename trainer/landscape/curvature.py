"""Eigenvalues (Lanczos) and trace (Hutchinson) of a Hessian, from products with it alone. P weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Product = Callable[[Tensor], Tensor]
"""A function of a vector [P] that returns the matrix times that vector [P]."""


def hessian_product(
    parts: Iterable[Callable[[], Tensor]], parameters: Sequence[nn.Parameter], vector: Tensor
) -> Tensor:
    """Return H v [P] of a loss that is the sum of `parts`: the gradient of g(w) v (Pearlmutter 1994), part by part."""
    total = torch.zeros_like(vector)
    for part in parts:
        gradient = torch.autograd.grad(part(), parameters, create_graph=True, materialize_grads=True)
        along = torch.cat([g.flatten() for g in gradient]) @ vector
        if along.requires_grad:  # false if the loss is linear
            second = torch.autograd.grad(along, parameters, materialize_grads=True)
            total += torch.cat([g.flatten() for g in second])
    return total


@dataclass(frozen=True)
class Ritz:
    """Estimates of a symmetric matrix's eigenvalues after k steps, largest first."""

    values: Tensor  # [k] float64
    residuals: Tensor  # [k] ||A y - value y|| of the Ritz vector y; an eigenvalue is within this distance of the value


class Lanczos:
    """The Lanczos iteration with full reorthogonalisation (Golub & Van Loan 2013, sections 10.1 and 10.3).

    After k steps the basis [k + 1, P] is orthonormal, and A in its first k vectors is tridiagonal: `alphas` [k] are the
    diagonal, `betas` [k] the off-diagonal and, last, the norm of the remainder.
    """

    def __init__(self, product: Product, draw: Callable[[int], Tensor], steps: int) -> None:
        """Allocate memory for `steps` steps. `draw(k)` returns a random vector [P] for basis vector k.

        It is called for the start, and to continue outside an invariant subspace once that is complete.
        """
        self._product, self._draw = product, draw
        start = draw(0)
        self.steps = min(steps, len(start))
        self._basis = torch.empty(self.steps + 1, len(start), dtype=start.dtype, device=start.device)
        self._basis[0] = start / start.norm()
        self.alphas: list[float] = []
        self.betas: list[float] = []

    def step(self) -> tuple[float, float, Tensor]:
        """Multiply once. Return (alpha, beta, the next basis vector [P])."""
        k = len(self.alphas)
        w = self._product(self._basis[k])
        alpha = torch.dot(w.double(), self._basis[k].double()).item()
        w = self._outside_basis(w, k + 1)
        beta = w.norm().item()
        if beta <= 10 * torch.finfo(w.dtype).eps * max(map(abs, [alpha, *self.alphas, *self.betas])):
            beta = 0.0
            w = self._outside_basis(self._draw(k + 1), k + 1) if k + 1 < w.numel() else torch.zeros_like(w)
        following = w / (w.norm() or 1)
        self.put(alpha, beta, following)
        return alpha, beta, following

    def put(self, alpha: float, beta: float, following: Tensor) -> None:
        """Add a step that was made before."""
        self.alphas.append(alpha)
        self.betas.append(beta)
        self._basis[len(self.alphas)] = following

    def ritz(self) -> Ritz:
        """Return the eigenvalues of the tridiagonal matrix, with their residuals.

        A residual is |last beta x last entry of the eigenvector|, at least the rounding error of the largest value. It
        does not include the rounding errors of the products.
        """
        alphas, betas = (torch.tensor(numbers, dtype=torch.float64) for numbers in (self.alphas, self.betas[:-1]))
        tridiagonal = alphas.diag() + betas.diag(1) + betas.diag(-1)
        values, vectors = torch.linalg.eigh(tridiagonal)
        rounding = torch.finfo(self._basis.dtype).eps * values.abs().max()
        return Ritz(values.flip(0), (self.betas[-1] * vectors[-1]).abs().clamp(min=rounding).flip(0))

    def _outside_basis(self, w: Tensor, k: int) -> Tensor:
        """Return `w` without its part in the first k basis vectors. Removed twice, because of rounding errors."""
        for _ in range(2):
            w = w - self._basis[:k].mT @ (self._basis[:k] @ w)
        return w


def rademacher(size: int, draw: torch.Generator) -> Tensor:
    """Return random signs [P], +1 or -1, on the CPU."""
    return torch.randint(2, (size,), generator=draw).mul_(2).sub_(1).to(torch.float32)


def mean_and_error(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """Return (mean of Hutchinson's samples v A v, an estimate of A's trace; its standard error). None for too few."""
    if not samples:
        return None, None
    values = torch.tensor(samples, dtype=torch.float64)
    return values.mean().item(), (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
