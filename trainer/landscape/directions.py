"""Where a loss surface goes: random directions of the network's own scale, or those in which training moved."""

from collections.abc import Sequence

import torch
from torch import Tensor

Direction = tuple[Tensor, ...]
"""One tensor a parameter, of its shape."""

_BLOCK = 1 << 20  # weights at a time in double precision
_NOTHING = 1e-12  # of the largest variance: less is the rounding of float32


def filter_normalised(parameters: Sequence[Tensor], draw: torch.Generator) -> Direction:
    """A Gaussian direction, each of its filters as long as the network's (Li et al. 2018, section 4).

    A filter is an entry along the first axis: of a convolution's weights [F, C, h, w] what makes one feature map, of a
    linear layer's [F, C] what makes one number. Biases and the scales and shifts of norms, of one axis, get 0. Drawn on
    the CPU, so it is the same on every device.
    """
    return tuple(_of_same_filters(w.detach(), torch.randn(w.shape, generator=draw).to(w)) for w in parameters)


def _of_same_filters(w: Tensor, d: Tensor) -> Tensor:
    if w.ndim < 2:
        return torch.zeros_like(w)
    over = tuple(range(1, w.ndim))
    length_w, length_d = (torch.linalg.vector_norm(each, dim=over, keepdim=True) for each in (w, d))
    return d * (length_w / length_d)


def cosine(a: Direction, b: Direction) -> float:
    """Of the angle between two directions."""
    x, y = (torch.cat([each.flatten().double() for each in direction]) for direction in (a, b))
    return torch.nn.functional.cosine_similarity(x, y, dim=0).item()


def principal_directions(path: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(the first `count` principal directions [count, P] of weights on the way [T, P], each of length 1; the shares
    [count] of the path's variance along them), after Li et al. 2018, section 7, and as in their code about the mean.

    The path begins on a direction's positive side of where it ends. Raises ValueError where it has fewer directions.
    """
    centred = path - path.mean(0)
    gram = torch.zeros(len(path), len(path), dtype=torch.float64, device=path.device)
    for block in centred.split(_BLOCK, dim=1):
        gram += block.double() @ block.double().mT
    variances, vectors = (each.flip(-1)[..., :count] for each in torch.linalg.eigh(gram))  # [count], [T, count]
    if len(variances) < count or variances[-1] <= _NOTHING * variances[0]:
        raise ValueError(f"{len(path)} points span fewer than {count} directions")
    directions = (vectors / variances.sqrt()).mT.to(path) @ centred
    directions *= torch.where(directions @ (path[0] - path[-1]) < 0, -1, 1)[:, None]
    return directions, variances / gram.trace()
