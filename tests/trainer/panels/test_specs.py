"""Every panel: its spec is valid Vega-Lite before and after it is filled, and draws the columns that it is given."""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import vl_convert

from trainer.panels.panel import Panel, holes
from trainer.panels.preview import example
from trainer.panels.registry import PANELS, panel
from trainer.panels.render import render
from trainer.panels.theme import PALETTE, theme

by_name = pytest.mark.parametrize("shown", PANELS, ids=lambda shown: shown.name)
WHITE, BLACK = "#ffffff", "#111111"


@cache
def schema() -> jsonschema.Draft7Validator:
    """Return Vega-Lite's own schema, which altair contains."""
    altair = find_spec("altair")
    assert altair is not None and altair.origin is not None
    path = Path(altair.origin).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json"
    return jsonschema.Draft7Validator(json.loads(path.read_text(encoding="utf-8")))


def contrast(one: str, other: str) -> float:
    """Return WCAG 2.2's contrast ratio of two colours, from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def leaves(part: Any) -> list[Any]:
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
    return [part] if inner is None else [leaf for each in inner for leaf in leaves(each)]


@by_name
def test_the_spec_is_vega_lite_before_and_after_it_is_filled(shown: Panel) -> None:
    _, rows = example(shown)
    for spec in (shown.spec, shown.chart(rows)):
        assert schema().is_valid(spec), next(schema().iter_errors(spec)).message[:300]


@by_name
def test_the_fields_of_spec_registry_and_example_are_the_same(shown: Panel) -> None:
    _, rows = example(shown)
    assert holes(shown.spec, "field") == set(shown.columns) == set(rows[0])
    assert holes(shown.spec, "string") <= set(shown.strings)
    assert not holes(shown.chart(rows), "field") | holes(shown.chart(rows), "string")
    kinds = {column: {type(row[column]) for row in rows} - {type(None)} for column in shown.columns}
    assert all(
        kinds[name] <= ({str} if about.kind == "text" else {int, float}) for name, about in shown.columns.items()
    )


@by_name
def test_it_is_what_wandb_can_fill_and_both_versions_of_vega_lite_draw(shown: Panel) -> None:
    spec = shown.spec
    assert spec["data"] == {"name": "wandb"}
    assert None not in leaves(spec)  # W&B's page makes {} of a null
    assert not set(shown.columns) & {"name", "id", "color", "_defaultColorIndex"}  # columns that W&B's page adds
    assert re.fullmatch(r"cifar-sweeps-[a-z0-9-]+-v\d+", shown.pushed_name)
    _, rows = example(shown)
    for version in ("5.20", "6.4"):
        marks = vl_convert.vegalite_to_vega(shown.chart(rows), vl_version=version)["marks"]
        assert marks


@by_name
@pytest.mark.parametrize("name", ["light", "dark"])
def test_it_is_drawn_as_png_and_svg_with_its_title(shown: Panel, name: str, tmp_path: Path) -> None:
    _, rows = example(shown)
    for suffix in ("png", "svg"):
        render(shown.chart(rows), tmp_path / f"chart.{suffix}", theme=name)
    text = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert f">{shown.title}</text>" in text
    assert f'fill="{theme(name)["background"]}"' in text
    assert "NaN" not in text and "undefined" not in text


@pytest.mark.parametrize("ground", [WHITE, BLACK])
def test_every_colour_of_a_mark_is_visible_on_both_backgrounds(ground: str) -> None:
    """The contrast is 3:1, WCAG 1.4.11. White and black are drawn on each other, on the cells of a heat map."""
    named = {leaf for shown in PANELS for leaf in leaves(shown.spec) if isinstance(leaf, str) and leaf.startswith("#")}
    assert named <= set(PALETTE)
    assert [colour for colour in PALETTE if contrast(colour, ground) < 3] == []


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_text_can_be_read_on_its_themes_background(name: str) -> None:
    """The contrast is 4.5:1, WCAG 1.4.3, also on the confusion matrix's darkest cell, which is 75 % blue."""
    config = theme(name)
    ground = config["background"]
    colours = {value for key, value in walk(config) if key in ("color", "subtitleColor", "labelColor", "titleColor")}
    assert len(colours) == 2
    assert [colour for colour in colours if contrast(colour, ground) < 4.5] == []
    assert contrast(config["text"]["color"], mixed(ground, PALETTE[0], 0.75)) >= 4.5


def walk(part: dict[str, Any]) -> list[tuple[str, Any]]:
    inner = [pair for value in part.values() if isinstance(value, dict) for pair in walk(value)]
    return [*part.items(), *inner]


def mixed(ground: str, colour: str, opacity: float) -> str:
    pairs = [(int(ground[i : i + 2], 16), int(colour[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + opacity * (b - a)):02x}" for a, b in pairs)


def test_names_are_unique_and_every_spec_is_used() -> None:
    names = [shown.name for shown in PANELS]
    assert len(set(names)) == len(names)
    folder = Path(__file__).parents[3] / "trainer" / "panels" / "specs"
    assert {path.stem for path in folder.iterdir()} == {shown.template or shown.name for shown in PANELS}


def test_a_legend_of_one_entry_is_left_out_and_groups_keep_their_order() -> None:
    shown = panel("beta")
    row = {"step": 0, "mean": 1.0, "low": 1.0, "high": 1.0}
    alone = shown.chart([{**row, "group": "b"}])["encoding"]["color"]
    assert alone["legend"] is None
    two = shown.chart([{**row, "group": "b"}, {**row, "group": "a"}])["encoding"]["color"]
    assert two["legend"] is not None and two["scale"]["domain"] == ["b", "a"]


def test_a_legend_has_only_what_is_drawn() -> None:
    """Before: one of a chart without published figures had `published` in it."""
    rows = [{"group": "a", "kind": kind, "accuracy": 1.0} for kind in ("one seed", "mean")]
    points = panel("ablation").chart(rows)["layer"][1]["encoding"]
    assert points["color"]["scale"] == {"domain": ["one seed", "mean"], "range": ["#767676", "#0072B2"]}
    assert points["size"]["scale"] == {"domain": ["one seed", "mean"], "range": [30, 130]}
    drawn = panel("ablation").chart([*rows, {**rows[0], "kind": "published"}])["layer"][1]["encoding"]
    assert drawn["color"]["scale"]["domain"] == ["one seed", "mean", "published"]
