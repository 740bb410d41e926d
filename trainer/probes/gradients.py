"""Gradients and weights as one vector, and what is measured of two of them.

On a CPU torch's own norm and dot product of ten million float32 entries are right to three or four digits, for they
add up in a few registers; a norm of the norms of short rows is right to seven and as fast. Dot products of short pieces
are as right, but at each of them all threads wait for each other, which cost a busy machine up to half a step of VGG-A.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

LossAndGradient = Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
"""The loss [] and its gradient, a tensor a parameter, at the weights that a model has now."""

_ROW = 4096


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
    whole = len(a) // _ROW * _ROW
    rows, rest = a[:whole].view(-1, _ROW), a[whole:]
    length = torch.linalg.vector_norm
    return length(torch.cat([length(rows, dim=1), length(rest, dim=0, keepdim=True)]))


def distance(a: Tensor, b: Tensor) -> Tensor:
    """||a - b|| [] of vectors [P]."""
    return norm(a - b)


@dataclass(frozen=True)
class Change:
    """From one gradient to another, each []."""

    norm: Tensor  # of the new one
    distance: Tensor
    cosine: Tensor


def change(new: Tensor, old: Tensor, old_norm: Tensor) -> Change:
    """Of gradients [P]."""
    length = norm(new)
    difference = new - old
    apart = norm(difference)
    products = torch.mul(new, old, out=difference)  # in the memory of what is no longer needed
    return Change(length, apart, products.sum() / (length * old_norm))


def _from_outermost(tensor: Tensor) -> list[int]:
    return sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
