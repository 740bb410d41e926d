"""Vega-Lite specs as files, without a browser or a network."""

import json
from html import escape
from pathlib import Path
from typing import Any

import vl_convert

from trainer.errors import ConfigError
from trainer.files import write_whole
from trainer.panels.theme import theme as config_of
from trainer.text import json_text

_SCALE = 2  # pixels of a PNG per pixel of the spec, for screens of high density


def render(spec: dict[str, Any], path: Path, *, theme: str = "light") -> None:
    """Write a PNG, an SVG or a self-contained page, as the suffix says, whole or not at all.

    Raises ConfigError for any other suffix or theme, DiskError if the file cannot be written.
    """
    config = config_of(theme)
    spec = _writable(spec)
    match path.suffix.lower():
        case ".png":
            body = vl_convert.vegalite_to_png(spec, scale=_SCALE, config=config, allowed_base_urls=[])
        case ".svg":
            body = as_svg(spec, theme).encode()
        case ".html":
            body = _page(spec, config).encode()
        case suffix:
            raise ConfigError(f"{path}: {suffix or 'no suffix'!r}: a chart is written as .png, .svg or .html")
    write_whole(path, body)


def as_svg(spec: dict[str, Any], theme: str = "light") -> str:
    """Return the chart as SVG. Raises ConfigError for an unknown theme."""
    return vl_convert.vegalite_to_svg(_writable(spec), config=config_of(theme), allowed_base_urls=[])


def _writable(spec: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json_text(spec))


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
<script>vegaEmbed("#chart", {spec}, {{config: {config}, renderer: "svg"}})</script>
</body>
</html>
"""


def _page(spec: dict[str, Any], config: dict[str, Any]) -> str:
    """Return a page with the chart, its title, the theme's background, and Vega itself."""
    return _PAGE.format(
        title=escape(spec["title"]["text"]),
        ground=config["background"],
        vega=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"),
        spec=_in_script(spec),
        config=_in_script(config),
    )


def _in_script(value: Any) -> str:
    """Return JSON in which no text, such as a run's name, can end the script."""
    return json.dumps(value).replace("<", "\\u003c")
