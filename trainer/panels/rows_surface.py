"""Rows of the loss around trained weights, from the files that `trainer landscape surface` wrote."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from trainer.panels.panel import Histories, Row
from trainer.runs.groups import value_text
from trainer.runs.measured import read_measured

_PLANES = {"random": "random direction", "path": "directions of training"}
_FINER = ("seed", "reach", "points", "epoch", "weights", "drawn")  # settings, in the order of a label


@dataclass(frozen=True)
class _Surface:
    label: str  # the run's, and what distinguishes this surface from its others
    content: dict[str, Any]


def lines(groups: Histories) -> list[Row]:
    """Return `group, alpha, loss` of every line along a random direction. A line of training has another unit.

    A loss that is not finite is null.
    """
    return [
        {"group": surface.label, "alpha": row["alpha"], "loss": row["loss"]}
        for surface in _surfaces(groups, "random-1d")
        for row in surface.content["rows"]
    ]


def planes(groups: Histories) -> list[Row]:
    """Return `surface, kind, alpha, alpha_end, beta, beta_end, loss, band, epoch` of every surface of two dimensions.

    Its rows are its cells from edge to edge, the weights kept during training, projected to the plane, and the trained
    network. `band` is the tenth of all cells that a loss is in. A loss that is not finite is null and has no band.
    """
    table: list[Row] = []
    surfaces = _surfaces(groups, "*-2d")
    band = _tenths([row["loss"] for surface in surfaces for row in surface.content["rows"]])
    for surface in surfaces:
        empty = dict.fromkeys(("alpha_end", "beta_end", "loss", "band", "epoch"))
        place = {"surface": surface.label}
        points, path = surface.content["rows"], surface.content.get("path", [])
        across, up = (_edges([point[axis] for point in points]) for axis in ("alpha", "beta"))
        for point in points:
            (left, right), (low, high) = across[point["alpha"]], up[point["beta"]]
            edges = {"alpha": left, "alpha_end": right, "beta": low, "beta_end": high}
            table.append(
                {**empty, **place, "kind": "cell", **edges, "loss": point["loss"], "band": band.get(point["loss"])}
            )
        table += [{**empty, **place, "kind": "path", **point} for point in path]
        table.append({**empty, **place, "kind": "network", "alpha": 0.0, "beta": 0.0})
    return table


def _surfaces(groups: Histories, kind: str) -> list[_Surface]:
    """Return the surfaces of the files that begin with `kind`, each under a label of its own.

    Surfaces that differ in settings only have these settings in their label.
    """
    alike: dict[str, list[_Surface]] = {}
    for surface in _read(groups, kind):
        alike.setdefault(surface.label, []).append(surface)
    return [surface for same in alike.values() for surface in _with_own_labels(same)]


def _with_own_labels(same: Sequence[_Surface]) -> Iterator[_Surface]:
    settings = [surface.content["settings"] for surface in same]
    keys: list[str] = []
    for key in _FINER:
        if _kinds(settings, [*keys, key]) > _kinds(settings, keys):
            keys.append(key)
    for surface, values in zip(same, settings, strict=True):
        texts = (f"{key} {value_text(values.get(key, 'not known'))}" for key in keys)
        yield replace(surface, label=", ".join([surface.label, *texts]))


def _kinds(settings: Sequence[dict[str, Any]], keys: Sequence[str]) -> int:
    return len({tuple(values.get(key) for key in keys) for values in settings})


def _read(groups: Histories, kind: str) -> Iterator[_Surface]:
    for label, runs in groups.items():
        for run in runs:
            for path in sorted((run.folder / "surface").glob(f"{kind}-*.json")):
                content = read_measured(path)
                name = label if len(runs) == 1 else run.name
                yield _Surface(f"{name}, {_described(content)}", content)


def _described(content: dict[str, Any]) -> str:
    settings = content["settings"]
    plane = f"{_PLANES[settings['plane']]}{'s' if settings['dims'] == 2 and settings['plane'] == 'random' else ''}"
    if settings["plane"] == "path":
        plane += f" ({' + '.join(f'{share:.0%}' for share in content['explained'])} of the way)"
    return f"{plane}, {settings['images']} {settings['split']} images"


def _tenths(losses: Sequence[float | None]) -> dict[float | None, str]:
    """Return the tenth of the finite losses that each is in, as `1.2 to 1.4`."""
    ranked = sorted(loss for loss in losses if loss is not None)
    cuts = [len(ranked) * i // 10 for i in range(11)]
    tenths = [ranked[a:b] for a, b in pairwise(cuts) if a < b]
    return {loss: f"{tenth[0]:.3g} to {tenth[-1]:.3g}" for tenth in tenths for loss in tenth}


def _edges(values: Sequence[float]) -> dict[float, tuple[float, float]]:
    """Return the edges of the cell of each distinct coordinate: half way to its neighbours on either side."""
    places = sorted(set(values))
    half = (places[1] - places[0]) / 2 if len(places) > 1 else 0.5
    return {place: (place - half, place + half) for place in places}
