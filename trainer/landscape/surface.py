"""Loss and accuracy over a line or a plane through a trained network.

After Li, Xu, Taylor, Studer & Goldstein 2018, "Visualizing the Loss Landscape of Neural Nets", arXiv 1712.09913.

A result, RUN/surface/NAME.json, is one object:

settings   network, images and plane; `kept_epochs` with --plane path
rows       {alpha, beta, loss, accuracy} at w + alpha d1 + beta d2, alpha slowest; beta is 0 on a line; a loss that
           is not finite is null
path       {alpha, beta, epoch} of the kept weights, with --plane path
explained  shares of the path's variance along d1 and d2, with --plane path
cosine     of the angle between d1 and d2, with --plane random
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.files import finite_or_none, write_json
from trainer.landscape.directions import Direction
from trainer.landscape.journal import Journal, digest
from trainer.landscape.network import MeasuredNetwork, weights_digest
from trainer.landscape.planes import Plane, coordinates, path_plane, random_plane
from trainer.landscape.progress import ProgressDisplay
from trainer.probes.untouched import untouched
from trainer.training.evaluate import evaluate
from trainer.training.numerics import numerics
from trainer.training.trained import kept_epochs

PlaneName = Literal["random", "path"]
_BATCH = 500  # images at once
_MOST_POINTS = 1_000_000


def measure_surface(
    network: MeasuredNetwork, *, plane: PlaneName, dims: int, points: int, reach: float, folder: Path
) -> Path:
    """Return the result's file in `folder`. An existing result with the same settings is not measured again.

    The network is in evaluation mode: norms use the running statistics of the final network everywhere. Raises
    UserError.
    """
    if plane == "random" and points % 2 == 0:
        raise ConfigError(f"--points: an even number has no point at the network itself; take {points + 1}")
    if not math.isfinite(reach):
        raise ConfigError(f"--reach: {reach:g} is no distance; take a finite number, such as 1")
    if plane == "random" and not reach:
        raise ConfigError("--reach: 0 measures only the network itself; take a number above 0, such as 1")
    if points**dims > _MOST_POINTS:
        most = _MOST_POINTS if dims == 1 else math.isqrt(_MOST_POINTS)
        raise ConfigError(
            f"--points: {points} along each direction are more than {_MOST_POINTS:,} in all; take at most {most:,}"
        )
    settings = {
        **network.settings,
        "epoch": network.epoch,
        "weights": weights_digest(network.model),
        "plane": plane,
        "dims": dims,
        "points": points,
        "reach": reach,
    }
    if plane == "path":  # it spans those that there are now
        settings["kept_epochs"] = list(kept_epochs(network.run))
    name = f"{plane}-{dims}d-{settings['split']}{settings['images']}-{digest(settings)}"
    result = folder / f"{name}.json"
    if result.exists():
        return result
    build = random_plane if plane == "random" else path_plane
    spanned = build(network, dims, points, reach)
    furthest = torch.finfo(torch.float32).max
    if not all(abs(place) <= furthest for axis in spanned.axes for place in axis):  # False for NaN
        raise ConfigError(f"--reach: {reach:g} goes further than float32 numbers do; take a smaller one, such as 1")
    with Journal(folder / f"{name}.jsonl", settings) as journal:
        _measure_points(network, spanned, journal)
        write_json(result, {"settings": settings, **spanned.facts, "rows": journal.rows})
        journal.remove()
    return result


def as_text(result: dict[str, Any]) -> str:
    """Return a result in a few lines."""
    settings, rows = result["settings"], [row for row in result["rows"] if row["loss"] is not None]
    lines = [f"{len(result['rows'])} points over {settings['images']} images of {settings['split']}"]
    for name, pick in (("lowest", min), ("highest", max)):
        if rows:
            row = pick(rows, key=lambda row: row["loss"])
            lines.append(f"{name:<8} loss {row['loss']:.4f} at ({row['alpha']:.3g}, {row['beta']:.3g})")
    if missing := len(result["rows"]) - len(rows):
        lines.append(f"{missing} losses are not finite, and are drawn as gaps; a smaller --reach may avoid them")
    if shares := result.get("explained"):
        lines.append("share of the path's variance: " + ", ".join(f"{share:.1%}" for share in shares))
    return "\n".join(lines)


def _measure_points(network: MeasuredNetwork, plane: Plane, journal: Journal) -> None:
    """Add a row to the journal for each point that it does not contain."""
    parameters, done = network.parameters(), len(journal.rows)
    start = [parameter.detach().clone() for parameter in parameters]
    title = f"surface of {network.run.name}"
    with (
        numerics(network.config.train),
        untouched(network.model),
        ProgressDisplay(title, len(plane.points), done=done) as display,
    ):
        for point in plane.points[done:]:
            move(parameters, start, plane.directions, point)
            measured = loss_and_accuracy(network)
            journal.add(finite_or_none({**coordinates(point), **measured}))
            display.advance(f"loss {measured['loss']:.4f}")


def loss_and_accuracy(network: MeasuredNetwork) -> dict[str, float]:
    """Return `loss` and `accuracy` of the network at its present weights."""
    n = network
    return evaluate(n.model, n.split, n.normalize, n.loss_fn, n.compute, batch_size=_BATCH).metrics()


@torch.no_grad()
def move(
    parameters: Sequence[nn.Parameter], start: Sequence[Tensor], directions: Sequence[Direction], point: Sequence[float]
) -> None:
    """Set the parameters to `start` plus the coordinates of `point` along each direction."""
    for i, (parameter, w) in enumerate(zip(parameters, start, strict=True)):
        parameter.copy_(w)
        for distance, direction in zip(point, directions, strict=True):
            parameter.add_(direction[i], alpha=distance)
