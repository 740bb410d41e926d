"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum with orthogonalised matrices."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from trainer.training.optimizers.eager import Eager

_EXPAND = (3.4445, -4.7750, 2.0315)  # from the post: small singular values grow fast, all end between 0.7 and 1.2
_SETTLE = (15 / 8, -10 / 8, 3 / 8)  # converges to 1 from there: its slope and curvature at 1 are 0
_LEAST = 1e-30  # below the norm of any float32 matrix but 0: the root of the smallest square is 4e-23


def orthogonalise(matrices: Tensor, *, expand: int = 5, settle: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return U V^T of the singular value decompositions of [..., m, n] in `dtype`, by Newton-Schulz steps.

    These are matrix products: `expand` steps bring singular values to between 0.7 and 1.2, `settle` steps to 1. By
    default, the error is about 1e-3 if no singular value is below 1e-2 of the Frobenius norm.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).to(dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in (*[_EXPAND] * expand, *[_SETTLE] * settle):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Orthogonalised(Eager):
    """An optimizer that moves each weight, flattened to [first, rest], by an orthogonal matrix.

    The update is lr * sqrt(max(1, rows / columns)) times the orthogonalised momentum, after a decoupled decay. All
    weights of one shape are a single batch of matrices.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        expand: int = 5,
        settle: int = 2,
        dtype: torch.dtype = torch.float32,
        renormalise: bool = False,
    ) -> None:
        """`renormalise` scales each weight to the norm sqrt(first) before its update, but leaves zeros as they are.

        `orthogonalise` gets the rest.
        """
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0})
        self.expand, self.settle, self.dtype, self.renormalise = expand, settle, dtype, renormalise

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert closure is None
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.shape[:1] + (p[0].numel(),)].append(p)
            for shape, weights in alike.items():
                self._update(weights, shape, group)

    def _update(self, weights: list[Tensor], shape: torch.Size, group: dict[str, Any]) -> None:
        """Update all weights that are matrices of one shape [rows, columns]."""
        directions = torch.stack([self._direction(p, group).reshape(shape) for p in weights])
        moves = orthogonalise(directions, expand=self.expand, settle=self.settle, dtype=self.dtype)
        rows, columns = shape
        scale = max(1.0, rows / columns) ** 0.5
        for p, move in zip(weights, moves, strict=True):
            if self.renormalise:
                p.mul_(rows**0.5 / p.norm().clamp_(min=_LEAST))  # a weight of zeros stays, since 0 * inf is NaN
            p.mul_(1 - group["lr"] * group["weight_decay"])
            if isinstance(group["lr"], Tensor):  # on a GPU, which need not wait for it
                p.sub_(move.view(p.shape) * (group["lr"] * scale))
            else:
                p.add_(move.view(p.shape), alpha=-group["lr"] * scale)

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        assert p.grad is not None
        buffer = state["momentum"].mul_(group["momentum"]).add_(p.grad)
        return p.grad.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer
