"""From a Vega-Lite spec to a file, without a browser or a network."""

import json
from html import escape
from pathlib import Path
from typing import Any

import vl_convert

from trainer.errors import ConfigError
from trainer.files import write_whole
from trainer.panels.theme import theme as look_of

_SCALE = 2  # pixels of a PNG to one of the spec: for screens of today


def render(spec: dict[str, Any], path: Path, *, theme: str = "light") -> None:
    """Write a PNG, an SVG or a page that needs nothing else, as the suffix says, whole or not at all.

    Raises ConfigError for another suffix or theme, DiskError where the file cannot be written.
    """
    look = look_of(theme)
    match path.suffix.lower():
        case ".png":
            body = vl_convert.vegalite_to_png(spec, scale=_SCALE, config=look, allowed_base_urls=[])
        case ".svg":
            body = vl_convert.vegalite_to_svg(spec, config=look, allowed_base_urls=[]).encode()
        case ".html":
            body = _page(spec, look).encode()
        case suffix:
            raise ConfigError(f"{path}: {suffix or 'no suffix'!r}: a chart is written as .png, .svg or .html")
    write_whole(path, body)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ background: {ground}; margin: 0 }}</style>
<script>{vega}</script>
</head>
<body>
<div id="chart"></div>
<script>vegaEmbed("#chart", {spec}, {{config: {look}, renderer: "svg"}})</script>
</body>
</html>
"""


def _page(spec: dict[str, Any], look: dict[str, Any]) -> str:
    """The chart under its title, on the look's ground, with Vega inside the page."""
    return _PAGE.format(
        title=escape(spec["title"]["text"]),
        ground=look["background"],
        vega=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"),
        spec=_in_script(spec),
        look=_in_script(look),
    )


def _in_script(value: Any) -> str:
    """JSON in which no word, such as a run's name, can end the script."""
    return json.dumps(value).replace("<", "\\u003c")
