"""Directions of a loss surface: random ones on the network's own scale, or those in which training moved."""

from collections.abc import Sequence

import torch
from torch import Tensor

Direction = tuple[Tensor, ...]
"""One tensor per parameter, of the same shape."""

_BLOCK = 1 << 20  # weights at a time in double precision
_ROUNDING = 1e-12  # share of the largest variance: anything below is float32 rounding


def filter_normalised(parameters: Sequence[Tensor], draw: torch.Generator) -> Direction:
    """Return a Gaussian direction whose filters are as long as the network's (Li et al. 2018, section 4).

    A filter is an entry along the first axis: the weights of one feature map in a convolution [F, C, h, w], of one
    output in a linear layer [F, C]. Tensors of one axis (biases, scales and shifts of norms) get 0. Drawn on the CPU,
    so every device gets the same direction.
    """
    return tuple(_rescaled(w.detach(), torch.randn(w.shape, generator=draw).to(w)) for w in parameters)


def _rescaled(w: Tensor, d: Tensor) -> Tensor:
    if w.ndim < 2:
        return torch.zeros_like(w)
    over = tuple(range(1, w.ndim))
    length_w, length_d = (torch.linalg.vector_norm(each, dim=over, keepdim=True) for each in (w, d))
    return d * (length_w / length_d)


def cosine(a: Direction, b: Direction) -> float:
    """Return the cosine of the angle between two directions."""
    x, y = (torch.cat([each.flatten().double() for each in direction]) for direction in (a, b))
    return torch.nn.functional.cosine_similarity(x, y, dim=0).item()


def principal_directions(path: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return (the first `count` principal directions [count, P] of a path [T, P], their shares of its variance).

    After Li et al. 2018, section 7. The path is centred about its mean, as in their code. Directions have length 1, and
    the path begins on the positive side of its end. Raises ValueError if the path has fewer directions.
    """
    centred = path - path.mean(0)
    gram = torch.zeros(len(path), len(path), dtype=torch.float64, device=path.device)
    for block in centred.split(_BLOCK, dim=1):
        gram += block.double() @ block.double().mT
    variances, vectors = (each.flip(-1)[..., :count] for each in torch.linalg.eigh(gram))  # [count], [T, count]
    if len(variances) < count or variances[-1] <= _ROUNDING * variances[0]:
        raise ValueError(f"{len(path)} points span fewer than {count} directions")
    directions = (vectors / variances.sqrt()).mT.to(path) @ centred
    directions *= torch.where(directions @ (path[0] - path[-1]) < 0, -1, 1)[:, None]
    return directions, variances / gram.trace()
