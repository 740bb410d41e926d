"""Sums over gradients that lie in a tensor for each parameter."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Objective = Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
"""The loss [] and its gradient, a tensor a parameter, at the weights that a model has now."""


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """The inner product [] of two gradients, in float32."""
    return torch.stack([torch.dot(x.flatten().float(), y.flatten().float()) for x, y in zip(a, b, strict=True)]).sum()


def norm(a: Sequence[Tensor]) -> Tensor:
    """The L2 norm [] of a gradient."""
    return torch.stack([x.float().norm() for x in a]).norm()
