"""What products with a Hessian tell of it: its largest eigenvalues by Lanczos, its trace by Hutchinson. P weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Product = Callable[[Tensor], Tensor]
"""[P] -> the matrix times it [P]."""


def hessian_product(
    parts: Iterable[Callable[[], Tensor]], parameters: Sequence[nn.Parameter], vector: Tensor
) -> Tensor:
    """H v [P] of a loss that is the sum of `parts`, each computed and differentiated twice in turn: the gradient of
    g(w) v (Pearlmutter 1994), by reverse mode twice."""
    total = torch.zeros_like(vector)
    for part in parts:
        gradient = torch.autograd.grad(part(), parameters, create_graph=True, materialize_grads=True)
        along = torch.cat([g.flatten() for g in gradient]) @ vector
        if along.requires_grad:  # not where the loss is linear
            found = torch.autograd.grad(along, parameters, materialize_grads=True)
            total += torch.cat([each.flatten() for each in found])
    return total


@dataclass(frozen=True)
class Ritz:
    """What k steps know of a symmetric matrix's spectrum: k values, largest first."""

    values: Tensor  # [k] float64
    residuals: Tensor  # [k] ||A y - value y|| of the Ritz vector y, within which of the value an eigenvalue lies


class Lanczos:
    """The Lanczos iteration with full reorthogonalisation (Golub & Van Loan 2013, sections 10.1 and 10.3).

    After k steps `basis` [k + 1, P] is orthonormal, and A in its first k vectors is tridiagonal: `alphas` [k] on the
    diagonal, `betas` beside it, the last of them the length of what k + 1 vectors leave out.
    """

    def __init__(self, product: Product, draw: Callable[[int], Tensor], steps: int) -> None:
        """`draw(k)` is a random vector [P] for basis vector k: the start, and where the iteration has found a whole
        invariant subspace and goes on outside it. Room is made for `steps` of them."""
        self._product, self._draw = product, draw
        start = draw(0)
        self.steps = min(steps, len(start))
        self._basis = torch.empty(self.steps + 1, len(start), dtype=start.dtype, device=start.device)
        self._basis[0] = start / start.norm()
        self.alphas: list[float] = []
        self.betas: list[float] = []

    def step(self) -> tuple[float, float, Tensor]:
        """One product: (alpha, beta, the next basis vector [P])."""
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
        """A step that was made before."""
        self.alphas.append(alpha)
        self.betas.append(beta)
        self._basis[len(self.alphas)] = following

    def ritz(self) -> Ritz:
        """Residuals as the recurrence gives them, |last beta x last entry of the tridiagonal's eigenvector|, no less
        than a rounding of the largest value; that of the products is not in them."""
        beside = torch.tensor(self.betas[:-1], dtype=torch.float64)
        tridiagonal = torch.diag(torch.tensor(self.alphas, dtype=torch.float64)) + beside.diag(1) + beside.diag(-1)
        values, vectors = torch.linalg.eigh(tridiagonal)
        rounding = torch.finfo(self._basis.dtype).eps * values.abs().max()
        return Ritz(values.flip(0), (self.betas[-1] * vectors[-1]).abs().clamp(min=rounding).flip(0))

    def _outside_basis(self, w: Tensor, k: int) -> Tensor:
        """`w` less what of it the first k basis vectors span; twice, for once leaves what rounding has made."""
        for _ in range(2):
            w = w - self._basis[:k].mT @ (self._basis[:k] @ w)
        return w


def rademacher(size: int, draw: torch.Generator) -> Tensor:
    """[P] of +1 and -1, on the CPU."""
    return torch.randint(2, (size,), generator=draw).mul_(2).sub_(1).to(torch.float32)


def mean_and_error(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """(the mean of Hutchinson's samples v A v, which estimates A's trace; its standard error). None for too few."""
    if not samples:
        return None, None
    values = torch.tensor(samples, dtype=torch.float64)
    return values.mean().item(), (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
