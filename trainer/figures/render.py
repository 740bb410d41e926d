"""From a Vega-Lite spec to a file, without a browser or a network."""

from pathlib import Path
from typing import Any

import vl_convert

from trainer.errors import ConfigError
from trainer.files import write_whole

_GREY, _PALE = "#666", "#e6e6e6"
_LOOK: dict[str, Any] = {  # a spec's own `config` goes before it
    "background": "white",
    "padding": 12,
    "font": "Helvetica, Arial, sans-serif",
    "view": {"stroke": None},
    "title": {"anchor": "start", "fontSize": 16, "subtitleFontSize": 12, "subtitleColor": _GREY, "offset": 14,
              "subtitlePadding": 5, "subtitleLineHeight": 16},
    "axis": {"titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8, "labelFontSize": 11,
             "labelColor": _GREY, "gridColor": _PALE, "domainColor": "#999", "tickColor": "#999"},
}  # fmt: skip
_SCALE = 2  # pixels of a PNG to one of the spec: for screens of today


def render(spec: dict[str, Any], path: Path) -> None:
    """Write a PNG or an SVG, as the suffix says, whole or not at all.

    Raises ConfigError for another suffix, DiskError where the file cannot be written.
    """
    match path.suffix.lower():
        case ".png":
            body = vl_convert.vegalite_to_png(spec, scale=_SCALE, config=_LOOK, allowed_base_urls=[])
        case ".svg":
            body = vl_convert.vegalite_to_svg(spec, config=_LOOK, allowed_base_urls=[]).encode()
        case suffix:
            raise ConfigError(f"{path}: {suffix or 'no suffix'!r}: a chart is written as .png or .svg")
    write_whole(path, body)
