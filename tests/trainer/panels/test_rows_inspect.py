"""Rows of the panels of an inspection."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.panels.rows_inspect import layer_rows, reliability_rows
from trainer.runs.groups import grouped
from trainer.runs.history import History


def layer(name: str, kind: str, dead: float) -> dict[str, Any]:
    return {"layer": name, "kind": kind, "activation_std": 1.0, "dead": dead, "weight_norm": 2.0}


def test_a_deep_network_shows_its_weight_layers_with_the_dead_channels_up_to_the_next() -> None:
    blocks = [(layer(f"{i}.conv", "Conv2d", 0.0), layer(f"{i}.act", "ReLU", i / 100)) for i in range(40)]
    rows = layer_rows({"layers": {"rows": [each for block in blocks for each in block]}}, "a")
    assert [row["layer"] for row in rows] == [f"{i}.conv (Conv2d)" for i in range(40)]
    assert [row["dead"] for row in rows] == pytest.approx(list(range(40)))


def drawn_words(rows: list[dict[str, Any]], path: Path) -> str:
    render(panel("layer_statistics").chart(rows), path)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "said"),
    [("Conv2d", "the first 60 of 75 Conv2d and Linear layers"), ("MaxPool2d", "the first 60 of 75 layers")],
)
def test_a_network_of_too_many_layers_says_how_many_are_drawn(kind: str, said: str, tmp_path: Path) -> None:
    """Before: the chart ended at the 60th, as if the network did."""
    rows = layer_rows({"layers": {"rows": [layer(str(i), kind, 0.0) for i in range(75)]}}, "a")
    assert [row["layer"] for row in rows] == [*(f"{i} ({kind})" for i in range(60)), said]
    assert {rows[-1][name] for name in ("activation_std", "dead", "weight_norm")} == {None}
    text = drawn_words(rows, tmp_path / "chart.svg")
    assert f">{said}</text>" in text and "NaN" not in text and "undefined" not in text
    assert "the first" not in drawn_words(rows[:60], tmp_path / "all.svg")


def test_a_shallow_network_shows_every_layer() -> None:
    rows = layer_rows({"layers": {"rows": [layer("conv", "Conv2d", 0.0), layer("act", "ReLU", 0.5)]}}, "a")
    assert [row["dead"] for row in rows] == [0, 50]


def test_the_shares_of_the_bins_sum_to_all_images() -> None:
    bins = [{"above": 0.0, "to": 0.5, "images": 1, "confidence": 0.4, "accuracy": 1.0},
            {"above": 0.5, "to": 1.0, "images": 3, "confidence": None, "accuracy": None}]  # fmt: skip
    rows = reliability_rows({"calibration": {"bins": bins}}, "a")
    assert [row["share"] for row in rows] == [25, 75]
    assert rows[1]["accuracy"] is None


def test_a_run_that_was_not_inspected_has_nothing_to_draw(tmp_path: Path) -> None:
    history = History(tmp_path, {}, [], {}, [])
    assert panel("reliability").rows(grouped([history])) == []
    (tmp_path / "inspect").mkdir()
    (tmp_path / "inspect" / "inspect.json").write_text(json.dumps({"layers": {"rows": [layer("a", "Conv2d", 0.0)]}}))
    assert len(panel("layer_statistics").rows(grouped([history]))) == 1


@pytest.mark.parametrize("content", [{}, {"layers": 3, "calibration": []}, {"layers": {"rows": [{}]}}])
def test_a_damaged_inspection_has_nothing_to_draw(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "inspect").mkdir()
    (tmp_path / "inspect" / "inspect.json").write_text(json.dumps(content))
    groups = grouped([History(tmp_path, {}, [], {}, [])])
    assert panel("layer_statistics").rows(groups) == panel("reliability").rows(groups) == []
