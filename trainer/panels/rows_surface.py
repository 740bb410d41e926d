"""Rows of the loss around trained weights, from what `trainer landscape surface` left in the run folders."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from trainer.files import disk_errors
from trainer.panels.panel import Row
from trainer.runs.groups import grouped
from trainer.runs.history import History

_PLANES = {"random": "random direction", "path": "directions of training"}
_FINER = ("seed", "reach", "points", "epoch", "weights")  # settings, in the order in which they are told


@dataclass(frozen=True)
class _Surface:
    label: str  # the run's, and what else tells this surface from the others
    content: dict[str, Any]


def lines(histories: Sequence[History]) -> list[Row]:
    """`group, alpha, loss` of every line along a random direction; one of training has another unit. A loss that is not
    finite is null."""
    return [
        {"group": surface.label, "alpha": row["alpha"], "loss": row["loss"]}
        for surface in _surfaces(histories, "random-1d")
        for row in surface.content["rows"]
    ]


def planes(histories: Sequence[History]) -> list[Row]:
    """`surface, kind, alpha, alpha_end, beta, beta_end, loss, band, epoch` of every surface of two dimensions: its
    cells, edge to edge, the kept weights on the way of training, where they lie in its plane, and the trained network.
    `band` is the tenth of all cells that a loss is in; one that is not finite is null and in none."""
    found: list[Row] = []
    surfaces = _surfaces(histories, "*-2d")
    band = _tenths([row["loss"] for surface in surfaces for row in surface.content["rows"]])
    for surface in surfaces:
        empty = dict.fromkeys(("alpha_end", "beta_end", "loss", "band", "epoch"))
        place = {"surface": surface.label}
        points, path = surface.content["rows"], surface.content.get("path", [])
        across, up = (_edges([point[axis] for point in points]) for axis in ("alpha", "beta"))
        for point in points:
            (left, right), (low, high) = across[point["alpha"]], up[point["beta"]]
            edges = {"alpha": left, "alpha_end": right, "beta": low, "beta_end": high}
            found.append(
                {**empty, **place, "kind": "cell", **edges, "loss": point["loss"], "band": band.get(point["loss"])}
            )
        found += [{**empty, **place, "kind": "path", **point} for point in path]
        found.append({**empty, **place, "kind": "network", "alpha": 0.0, "beta": 0.0})
    return found


def _surfaces(histories: Sequence[History], kind: str) -> list[_Surface]:
    """Of the files that begin with `kind`, each under a label of its own: where settings alone tell two apart, with
    those that do."""
    alike: dict[str, list[_Surface]] = {}
    for surface in _read(histories, kind):
        alike.setdefault(surface.label, []).append(surface)
    return [each for same in alike.values() for each in _told_apart(same)]


def _told_apart(same: Sequence[_Surface]) -> Iterator[_Surface]:
    settings = [surface.content["settings"] for surface in same]
    keys: list[str] = []
    for key in _FINER:
        if _kinds(settings, [*keys, key]) > _kinds(settings, keys):
            keys.append(key)
    for surface, said in zip(same, settings, strict=True):
        words = (f"{key} {said[key]:g}" if key != "weights" else f"{key} {said[key]}" for key in keys)
        yield replace(surface, label=", ".join([surface.label, *words]))


def _kinds(settings: Sequence[dict[str, Any]], keys: Sequence[str]) -> int:
    return len({tuple(said.get(key) for key in keys) for said in settings})


def _read(histories: Sequence[History], kind: str) -> Iterator[_Surface]:
    for label, runs in grouped(histories).items():
        for run in runs:
            for path in sorted((run.folder / "surface").glob(f"{kind}-*.json")):
                with disk_errors(path, "cannot be read"):
                    content = json.loads(path.read_text(encoding="utf-8"))
                name = label if len(runs) == 1 else run.name
                yield _Surface(f"{name}, {_described(content)}", content)


def _described(content: dict[str, Any]) -> str:
    settings = content["settings"]
    plane = f"{_PLANES[settings['plane']]}{'s' if settings['dims'] == 2 and settings['plane'] == 'random' else ''}"
    if settings["plane"] == "path":
        plane += f" ({' + '.join(f'{share:.0%}' for share in content['explained'])} of the way)"
    return f"{plane}, {settings['images']} {settings['split']} images"


def _tenths(losses: Sequence[float | None]) -> dict[float | None, str]:
    """The tenth of all that are finite in which each lies, as `1.2 to 1.4`; as few words as there are tenths."""
    ranked = sorted(loss for loss in losses if loss is not None)
    cuts = [len(ranked) * i // 10 for i in range(11)]
    tenths = [ranked[a:b] for a, b in pairwise(cuts) if a < b]
    return {loss: f"{tenth[0]:.3g} to {tenth[-1]:.3g}" for tenth in tenths for loss in tenth}


def _edges(values: Sequence[float]) -> dict[float, tuple[float, float]]:
    """Each distinct coordinate with the edges of its cell: half way to its neighbours, and as far on the outside."""
    places = sorted(set(values))
    half = (places[1] - places[0]) / 2 if len(places) > 1 else 0.5
    return {place: (place - half, place + half) for place in places}
