"""Gradients and weights as one vector, with norm, distance and cosine.

On a CPU torch's own norm and dot product of ten million float32 entries are right to three or four digits, because they
add up in a few registers. A norm of the norms of short rows is right to seven digits and as fast. Dot products of short
pieces are as accurate, but all threads wait for each other at each piece. On a busy machine that cost up to half the
time of a step of VGG-A.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

LossAndGradient = Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
"""A function that returns the loss [] and its gradient, one tensor per parameter, at the model's present weights."""

_ROW = 4096


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Return a copy [P] of all entries, one tensor after the other, each in its order in memory.

    Any other order costs a CPU twice as much if channels are innermost. A weight and its gradient have the same order.
    """
    lines = [tensor.detach().permute(_from_outermost(tensor)).reshape(-1) for tensor in tensors]
    sizes = [len(line) for line in lines]
    vector = lines[0].new_empty(sum(sizes))
    torch._foreach_copy_(list(vector.split(sizes)), lines)  # pyright: ignore[reportPrivateImportUsage]
    return vector


def norm(a: Tensor) -> Tensor:
    """Return ||a|| [] of a vector [P]."""
    whole = len(a) // _ROW * _ROW
    rows, rest = a[:whole].view(-1, _ROW), a[whole:]
    length = torch.linalg.vector_norm
    return length(torch.cat([length(rows, dim=1), length(rest, dim=0, keepdim=True)]))


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Return ||a - b|| [] of vectors [P]."""
    return norm(a - b)


@dataclass(frozen=True)
class Change:
    """The change from one gradient to another. Each number is []."""

    norm: Tensor  # of the new one
    distance: Tensor
    cosine: Tensor


def change(new: Tensor, old: Tensor, old_norm: Tensor) -> Change:
    """Return the change from gradient `old` to gradient `new`, both [P]."""
    length = norm(new)
    difference = new - old
    apart = norm(difference)
    products = torch.mul(new, old, out=difference)  # reuses memory that is no longer needed
    return Change(length, apart, products.sum() / (length * old_norm))


def _from_outermost(tensor: Tensor) -> list[int]:
    return sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
