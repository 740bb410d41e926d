"""A line or a plane through a run's trained network: the directions and how far to go along each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.errors import CheckpointError
from trainer.landscape.directions import Direction, cosine, filter_normalised, principal_directions
from trainer.landscape.network import MeasuredNetwork
from trainer.probes.untouched import untouched
from trainer.seeds import generator
from trainer.training.trained import kept_epochs, load_weights


@dataclass(frozen=True)
class Plane:
    """Through the final weights w: w + alpha d1, or w + alpha d1 + beta d2."""

    directions: tuple[Direction, ...]
    axes: tuple[list[float], ...]  # coordinates along each, ascending
    said: Mapping[str, Any]  # what a result tells of it

    @property
    def points(self) -> list[tuple[float, ...]]:
        """The first coordinate changes slowest."""
        return list(itertools.product(*self.axes))


def random_plane(network: MeasuredNetwork, dims: int, points: int, reach: float) -> Plane:
    """Filter-normalised random directions (section 4 of the paper), from -reach to reach, 0 in the middle."""
    found = tuple(filter_normalised(network.parameters(), generator(network.seed, "direction", i)) for i in range(dims))
    axis = [reach * (2 * i - points + 1) / (points - 1) for i in range(points)]
    return Plane(found, (axis,) * dims, {"cosine": cosine(*found)} if dims == 2 else {})


def path_plane(network: MeasuredNetwork, dims: int, points: int, reach: float) -> Plane:
    """The principal directions of the kept weights (section 7), of length 1 and not normalised by filters, over the
    extent of the path and a share `reach` of it on each side. Raises CheckpointError where the run keeps too few."""
    epochs, offsets = offsets_of_path(network)
    try:
        directions, shares = principal_directions(offsets, dims)
    except ValueError as error:
        cure = "train with a smaller probe.path.every_epochs" + (", or take --dims 1" if dims == 2 else "")
        raise CheckpointError(
            f"{network.run}: {len(epochs)} kept epochs span fewer than {dims} directions; {cure}"
        ) from error
    places = (offsets @ directions.mT).double()  # [T, dims]
    path = [{**coordinates(place), "epoch": epoch} for place, epoch in zip(places.tolist(), epochs, strict=True)]
    return Plane(
        tuple(like_parameters(direction, network) for direction in directions),
        tuple(_around(along, points, reach) for along in places.unbind(1)),
        {"explained": shares.tolist(), "path": path},
    )


def offsets_of_path(network: MeasuredNetwork) -> tuple[list[float], Tensor]:
    """(the T kept epochs, their weights' differences from the final network's [T, P], float32, on the CPU), all of them
    in memory. Raises CheckpointError where the run keeps none."""
    files = kept_epochs(network.run)
    if not files:
        cure = "train with probe.path.every_epochs=1, or take --plane random"
        raise CheckpointError(f"{network.run}: keeps no weights on the way of its training; {cure}")
    parameters = network.parameters()
    final = flat(parameters)
    offsets = torch.empty(len(files), len(final))
    with untouched(network.model):
        for row, path in zip(offsets, files.values(), strict=True):
            load_weights(network.model, path)
            row.copy_(flat(parameters) - final)
    return list(files), offsets


def coordinates(point: Sequence[float]) -> dict[str, float]:
    """`alpha` and `beta` of a point; on a line beta is 0."""
    return dict(zip(("alpha", "beta"), (*point, 0.0), strict=False))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """[P] all values, one tensor after the other."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def like_parameters(vector: Tensor, network: MeasuredNetwork) -> Direction:
    """A vector [P] in the shapes of the network's parameters, on its device."""
    parameters = network.parameters()
    parts = vector.to(network.compute.device).split([parameter.numel() for parameter in parameters])
    return tuple(part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True))


def _around(along: Tensor, points: int, reach: float) -> list[float]:
    low, high = along.min().item(), along.max().item()
    low, high = low - reach * (high - low), high + reach * (high - low)
    return [low + (high - low) * i / (points - 1) for i in range(points)]
