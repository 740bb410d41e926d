"""A line or a plane through a trained network: its directions, and how far it reaches along each."""

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
    """The points w + alpha d1, or w + alpha d1 + beta d2, around the final weights w."""

    directions: tuple[Direction, ...]
    axes: tuple[list[float], ...]  # coordinates along each, ascending
    facts: Mapping[str, Any]  # as written to the result

    @property
    def points(self) -> list[tuple[float, ...]]:
        """Return the coordinates of all points. The first coordinate changes slowest."""
        return list(itertools.product(*self.axes))


def random_plane(network: MeasuredNetwork, dims: int, points: int, reach: float) -> Plane:
    """Return filter-normalised random directions (section 4 of the paper), from -reach to reach, 0 in the middle."""
    parameters = network.parameters()
    directions = tuple(filter_normalised(parameters, generator(network.seed, "direction", i)) for i in range(dims))
    axis = [reach * (2 * i - points + 1) / (points - 1) for i in range(points)]
    return Plane(directions, (axis,) * dims, {"cosine": cosine(*directions)} if dims == 2 else {})


def path_plane(network: MeasuredNetwork, dims: int, points: int, reach: float) -> Plane:
    """Return the principal directions of the kept weights (section 7), of length 1 and not filter-normalised.

    The plane extends past the path by the share `reach` of its extent on each side. Raises CheckpointError if the run
    kept too few epochs.
    """
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
    """Return (the T kept epochs, their weights minus the final ones [T, P], float32, on the CPU).

    All are in memory at once. Raises CheckpointError if the run kept none.
    """
    files = kept_epochs(network.run)
    if not files:
        cure = "train with probe.path.every_epochs=1, or take --plane random"
        raise CheckpointError(f"{network.run}: the run kept no weights during training; {cure}")
    parameters = network.parameters()
    final = flat(parameters)
    offsets = torch.empty(len(files), len(final))
    with untouched(network.model):
        for row, path in zip(offsets, files.values(), strict=True):
            load_weights(network.model, path)
            row.copy_(flat(parameters) - final)
    return list(files), offsets


def coordinates(point: Sequence[float]) -> dict[str, float]:
    """Return `alpha` and `beta` of a point. On a line beta is 0."""
    return dict(zip(("alpha", "beta"), (*point, 0.0), strict=False))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Return all values in one vector [P]."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def like_parameters(vector: Tensor, network: MeasuredNetwork) -> Direction:
    """Return a vector [P] in the shapes of the network's parameters, on its device."""
    parameters = network.parameters()
    parts = vector.to(network.compute.device).split([parameter.numel() for parameter in parameters])
    return tuple(part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True))


def _around(along: Tensor, points: int, reach: float) -> list[float]:
    low, high = along.min().item(), along.max().item()
    low, high = low - reach * (high - low), high + reach * (high - low)
    return [low + (high - low) * i / (points - 1) for i in range(points)]
