"""Gradients and weights as one vector, and what is measured of two of them.

torch's own norm of a float32 vector adds up in so few registers on a CPU that ten million entries cost it the fourth
digit; a dot product does not, and is as fast.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

Objective = Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
"""The loss [] and its gradient, a tensor a parameter, at the weights that a model has now."""

_IN_CACHE, _AT_ONCE = 2**18, 2**26  # entries of a vector worked on at a time, on a CPU and elsewhere


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """[P] a copy of all entries, a tensor after the other, each in its order in memory: weights with their channels
    innermost would cost a CPU twice as much in another. A weight and its gradient lie alike."""
    lines = [tensor.detach().permute(_from_outermost(tensor)).reshape(-1) for tensor in tensors]
    sizes = [len(line) for line in lines]
    vector = lines[0].new_empty(sum(sizes))
    torch._foreach_copy_(list(vector.split(sizes)), lines)  # pyright: ignore[reportPrivateImportUsage]
    return vector


def norm(a: Tensor) -> Tensor:
    """||a|| [] of a vector [P]."""
    return _sum_over_pieces(lambda x: x.dot(x), a).sqrt()


def distance(a: Tensor, b: Tensor) -> Tensor:
    """||a - b|| [] of vectors [P]."""
    return _sum_over_pieces(lambda x, y: _square(x - y), a, b).sqrt()


@dataclass(frozen=True)
class Change:
    """From one gradient to another, each []."""

    norm: Tensor  # of the new one
    distance: Tensor
    cosine: Tensor


def change(new: Tensor, old: Tensor, old_norm: Tensor) -> Change:
    """Of gradients [P], in one reading of both."""
    sums = _sum_over_pieces(lambda x, y: torch.stack([x.dot(x), _square(x - y), x.dot(y)]), new, old)
    length, between = sums[:2].sqrt()
    return Change(length, between, sums[2] / (length * old_norm))


def _square(x: Tensor) -> Tensor:
    return x.dot(x)


def _sum_over_pieces(measure: Callable[..., Tensor], *vectors: Tensor) -> Tensor:
    size = _IN_CACHE if vectors[0].device.type == "cpu" else _AT_ONCE
    pieces = zip(*(vector.split(size) for vector in vectors), strict=True)
    return torch.stack([measure(*each) for each in pieces]).sum(0)


def _from_outermost(tensor: Tensor) -> list[int]:
    return sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
