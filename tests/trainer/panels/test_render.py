"""Files of charts: their format, their size, and the errors if none can be written."""

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainer.errors import ConfigError, DiskError
from trainer.panels.render import render

DOTS: dict[str, Any] = {
    "title": "two dots",
    "width": 200,
    "height": 100,
    "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
    "mark": "point",
    "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
}


def test_a_png_has_two_pixels_for_each_of_the_spec_and_a_white_background(tmp_path: Path) -> None:
    render(DOTS, tmp_path / "dots.PNG")
    with Image.open(tmp_path / "dots.PNG") as image:
        assert image.format == "PNG"
        assert 400 < image.width < 600 and 200 < image.height < 400  # the plot, and its title and axes
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_an_svg_contains_its_texts(tmp_path: Path) -> None:
    render(DOTS, tmp_path / "dots.svg")
    text = (tmp_path / "dots.svg").read_text(encoding="utf-8")
    assert text.startswith("<svg") and ">two dots</text>" in text


def test_a_name_that_is_not_utf8_is_in_every_kind_of_chart(tmp_path: Path) -> None:
    """Before: `Invalid \\escape`, because a backslash was written into JSON."""
    for suffix in ("svg", "png", "html"):
        render(DOTS | {"title": {"text": os.fsdecode(b'caf\xe9 "a" \\b')}}, tmp_path / f"dots.{suffix}")
    assert '>caf\\xe9 "a" \\b</text>' in (tmp_path / "dots.svg").read_text(encoding="utf-8")
    assert "<title>caf\\xe9 " in (tmp_path / "dots.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["dots.pdf", "dots"])
def test_any_other_suffix_is_refused_with_the_right_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"written as \.png, \.svg or \.html"):
        render(DOTS, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="nowhere"):
        render(DOTS, tmp_path / "nowhere" / "dots.svg")
