"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum with orthogonalised matrices."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from trainer.training.optimizers.eager import Eager

_EXPAND = (3.4445, -4.7750, 2.0315)  # from the paper: small singular values grow fast, all end between 0.7 and 1.2
_SETTLE = (15 / 8, -10 / 8, 3 / 8)  # converges to 1 from there: its slope and curvature at 1 are 0


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return U V^T of the singular value decomposition of [m, n], by Newton-Schulz steps, which are matrix products.

    The error is about 1e-3 if no singular value is below 1e-2 of the Frobenius norm.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for a, b, c in (*[_EXPAND] * 5, *[_SETTLE] * 2):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Orthogonalised(Eager):
    """An optimizer that moves each weight, flattened to [first, rest], by an orthogonal matrix.

    The update is lr * sqrt(max(1, rows / columns)) times the orthogonalised momentum, after a decoupled decay.
    """

    def __init__(self, params: Iterable[Any], *, lr: float, momentum: float = 0.95, nesterov: bool = True) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad, group)

    def _update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        buffer = state["momentum"].mul_(group["momentum"]).add_(grad)
        direction = grad.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer
        matrix = direction.reshape(len(p), -1)
        scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(orthogonalise(matrix).view_as(p), alpha=-group["lr"] * scale)
