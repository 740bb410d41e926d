"""Colours and the looks of a page. A spec names the colours of its marks alone, which hold on white and on black;
ground, words and axes are the page's business: a theme's here, W&B's own there.

A word cannot be read on both grounds at 4.5:1 (no grey reaches more than 4.4 on white and on #111), a mark at 3:1 can
(WCAG 2.2, 1.4.3 and 1.4.11).
"""

from typing import Any, Literal, get_args

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676", "#B07B00", "#7F63B8", "#2E90C8")
"""Of marks, in the order in which groups get them: Okabe & Ito 2008 first, as far as they reach 3:1 on white, then what
reaches it on both grounds. Two groups that are told apart by colour are told apart by dash or shape too."""

Theme = Literal["light", "dark"]


def theme(name: str) -> dict[str, Any]:
    """Vega-Lite's `config` of a look; a spec's own goes before it. Raises ConfigError for an unknown one."""
    match name:
        case "light":
            return _look(ground="#ffffff", text="#222222", quiet="#595959", grid="#e6e6e6", line="#949494")
        case "dark":
            return _look(ground="#111111", text="#eeeeee", quiet="#b3b3b3", grid="#333333", line="#767676")
        case _:
            raise ConfigError(f"--theme: no theme is called {name!r}{did_you_mean(name, get_args(Theme))}")


def _look(*, ground: str, text: str, quiet: str, grid: str, line: str) -> dict[str, Any]:
    words = {"labelColor": quiet, "titleColor": text, "labelFontSize": 11, "titleFontSize": 12}
    return {
        "background": ground,
        "padding": 12,
        "font": "Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "title": {"anchor": "start", "fontSize": 16, "color": text, "subtitleFontSize": 12, "subtitleColor": quiet,
                  "offset": 14, "subtitlePadding": 5, "subtitleLineHeight": 16},
        "axis": {**words, "titleFontWeight": "normal", "titlePadding": 8, "gridColor": grid, "domainColor": line,
                 "tickColor": line},
        "header": {**words, "titleFontWeight": "normal"},
        "legend": {**words, "titleFontWeight": "normal", "labelLimit": 330, "symbolBaseStrokeColor": quiet,
                   "symbolBaseFillColor": quiet, "gradientStrokeColor": line},
        "text": {"color": text},
        "mark": {"tooltip": True},
    }  # fmt: skip
