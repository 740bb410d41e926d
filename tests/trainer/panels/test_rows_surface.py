"""Rows of the surface panels, from hand-made surfaces."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from trainer.panels.registry import panel
from trainer.runs.groups import grouped
from trainer.runs.history import History


def run_in(folder: Path) -> History:
    return History(folder, {"model.name": "vgg_a", "seed": 0}, [], {}, [], [])


def surface(
    folder: Path, dims: int, rows: list[dict[str, Any]], said: dict[str, Any] | None = None, **more: Any
) -> None:
    first = {"seed": 0, "reach": 1.0, "points": 21, "epoch": 5.0, "weights": "da936108"}
    settings = {"plane": "path" if more else "random", "dims": dims, "images": 200, "split": "train", **first}
    settings |= said or {}
    (folder / "surface").mkdir(parents=True, exist_ok=True)
    number = len(list((folder / "surface").iterdir()))
    path = folder / "surface" / f"{settings['plane']}-{dims}d-train200-{number}.json"
    path.write_text(json.dumps({"settings": settings, "rows": rows, **more}))


def test_a_surface_is_cells_from_edge_to_edge_in_tenths_with_the_path_of_training(tmp_path: Path) -> None:
    points: list[dict[str, Any]] = [{"alpha": a, "beta": b, "loss": a + 10 * b} for a in (0.0, 1.0) for b in (0.0, 2.0)]
    points[0]["loss"] = None
    surface(tmp_path, 2, points, path=[{"alpha": 0.5, "beta": 0.5, "epoch": 1.0}], explained=[0.75, 0.125])
    rows = panel("surface_2d").rows(grouped([run_in(tmp_path)]))
    cells = [row for row in rows if row["kind"] == "cell"]
    edges = [(row["alpha"], row["alpha_end"], row["beta"], row["beta_end"]) for row in cells]
    assert edges == [(-0.5, 0.5, -1, 1), (-0.5, 0.5, 1, 3), (0.5, 1.5, -1, 1), (0.5, 1.5, 1, 3)]
    assert [row["band"] for row in cells] == [None, "20 to 20", "1 to 1", "21 to 21"]
    assert [(row["kind"], row["alpha"], row["epoch"]) for row in rows[4:]] == [
        ("path", 0.5, 1.0),
        ("network", 0.0, None),
    ]
    assert rows[0]["surface"] == f"{tmp_path.name}, directions of training (75% + 12% of the way), 200 train images"


def test_ten_bands_hold_a_tenth_of_the_cells_each(tmp_path: Path) -> None:
    surface(tmp_path, 2, [{"alpha": float(i), "beta": 0.0, "loss": float(i)} for i in range(50)])
    bands = [row["band"] for row in panel("surface_2d").rows(grouped([run_in(tmp_path)])) if row["band"]]
    assert set(Counter(bands).values()) == {5} and bands[0] == "0 to 4" and bands[-1] == "45 to 49"


def test_a_line_is_a_surface_of_its_own_panel(tmp_path: Path) -> None:
    surface(tmp_path, 1, [{"alpha": -1.0, "beta": 0.0, "loss": 2.0}, {"alpha": 1.0, "beta": 0.0, "loss": None}])
    rows = panel("surface_1d").rows(grouped([run_in(tmp_path)]))
    assert [(row["alpha"], row["loss"]) for row in rows] == [(-1.0, 2.0), (1.0, None)]
    assert rows[0]["group"] == f"{tmp_path.name}, random direction, 200 train images"


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ([{"seed": 1}, {"reach": 0.5}], ["seed 0, reach 1", "seed 1, reach 1", "seed 0, reach 0.5"]),
        ([{"points": 11}], ["points 21", "points 11"]),
        ([{"epoch": 7.0, "weights": "0328c601"}], ["epoch 5", "epoch 7"]),
        ([{"weights": "0328c601"}], ["weights da936108", "weights 0328c601"]),
    ],
)
@pytest.mark.parametrize(("name", "dims", "column"), [("surface_1d", 1, "group"), ("surface_2d", 2, "surface")])
def test_surfaces_of_one_run_are_labelled_with_the_settings_in_which_they_differ(
    tmp_path: Path, settings: list[dict[str, Any]], labels: list[str], name: str, dims: int, column: str
) -> None:
    for own in ({}, *settings):
        surface(tmp_path, dims, [{"alpha": 0.0, "beta": 0.0, "loss": 1.0}], own)
    groups = dict.fromkeys(row[column] for row in panel(name).rows(grouped([run_in(tmp_path)])))
    assert [label.partition("200 train images, ")[2] for label in groups] == labels


def test_a_line_along_the_path_of_training_is_not_among_those_along_random_directions(tmp_path: Path) -> None:
    point = {"alpha": 0.0, "beta": 0.0, "loss": 1.0}
    surface(tmp_path, 1, [point], path=[], explained=[0.75])
    shown, one = panel("surface_1d"), run_in(tmp_path)
    assert shown.rows(grouped([one])) == []
    surface(tmp_path, 1, [point])
    assert len(shown.rows(grouped([one]))) == 1
