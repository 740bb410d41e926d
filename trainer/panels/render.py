"""From a Vega-Lite spec to a file, without a browser or a network."""

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


def _page(spec: dict[str, Any], look: dict[str, Any]) -> str:
    """vl_convert's page with Vega inside, under the chart's title and on the look's ground."""
    page = vl_convert.vegalite_to_html(spec, bundle=True, config=look)
    title = escape(spec["title"]["text"])
    head = f"<title>{title}</title><style>body {{ background: {look['background']}; margin: 0 }}</style>"
    return page.replace("<html>", '<html lang="en">', 1).replace("<title>Chart</title>", head, 1)
