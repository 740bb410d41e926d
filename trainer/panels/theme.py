"""Colours, and the light and dark themes of a page.

A spec sets the colours of its marks only, which are visible on white and on black. A theme sets background, text and
axes here, W&B's page does there. WCAG 2.2 asks for a contrast of 4.5:1 for text (1.4.3), which no colour has on both
backgrounds (no grey has more than 4.4 on white and on #111), and of 3:1 for marks (1.4.11), which some have.
"""

from typing import Any, Literal, get_args

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676", "#B07B00", "#7F63B8", "#2E90C8")
"""Colours of marks, in the order in which groups get them: those of Okabe & Ito 2008 that have 3:1 on white, then
others that have it on both backgrounds. Groups that differ in colour also differ in dash or shape."""

Theme = Literal["light", "dark"]


def theme(name: str) -> dict[str, Any]:
    """Return the Vega-Lite `config` of a theme. A spec's own settings win. Raises ConfigError for an unknown theme."""
    match name:
        case "light":
            return _config(ground="#ffffff", text="#222222", quiet="#595959", grid="#e6e6e6", line="#949494")
        case "dark":
            return _config(ground="#111111", text="#eeeeee", quiet="#b3b3b3", grid="#333333", line="#767676")
        case _:
            raise ConfigError(f"--theme: no theme is called {name!r}{did_you_mean(name, get_args(Theme))}")


def _config(*, ground: str, text: str, quiet: str, grid: str, line: str) -> dict[str, Any]:
    labels = {"labelColor": quiet, "titleColor": text, "labelFontSize": 11, "titleFontSize": 12}
    return {
        "background": ground,
        "padding": 12,
        "font": "Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "title": {"anchor": "start", "fontSize": 16, "color": text, "subtitleFontSize": 12, "subtitleColor": quiet,
                  "offset": 14, "subtitlePadding": 5, "subtitleLineHeight": 16},
        "axis": {**labels, "titleFontWeight": "normal", "titlePadding": 8, "gridColor": grid, "domainColor": line,
                 "tickColor": line},
        "header": {**labels, "titleFontWeight": "normal"},
        "legend": {**labels, "titleFontWeight": "normal", "labelLimit": 330, "symbolBaseStrokeColor": quiet,
                   "symbolBaseFillColor": quiet, "gradientStrokeColor": line},
        "text": {"color": text},
        "mark": {"tooltip": True},
    }  # fmt: skip
