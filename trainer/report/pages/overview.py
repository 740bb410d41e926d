"""The picture of the whole catalogue: each published accuracy, and what our runs gave, on one line."""

import math
from collections.abc import Sequence
from typing import Any

from trainer.report.pages.index import Line

_PIXELS = 9  # of a line
_COLOURS = {
    "consistent": "#009E73",
    "higher": "#0072B2",
    "lower": "#D55E00",
    "run, without a verdict": "#B07B00",
    "no runs": "#767676",
}


def overview(lines: Sequence[Line]) -> dict[str, Any]:
    """Return a Vega-Lite spec with a mark for each published percentage, coloured by the verdict on our runs.

    Figures of other units are left out, and counted under the title.
    """
    shown = [line for line in lines if line.comparison.figure.unit == "%"]
    rows = [_row(place, line, shown[place - 1] if place else None) for place, line in enumerate(shown)]
    left = len(lines) - len(shown)
    said = "A tick is a published figure, a dot the mean of our runs, a line the 95% prediction interval of one more."
    rest = f"{left} of {len(lines)} rows are not percentages. See the tables."
    lowest = 10 * math.floor(min(row["published"] for row in rows) / 10)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {"text": "Published and ours", "subtitle": [said, rest]},
        "data": {"values": rows},
        "width": 460,
        "height": {"step": _PIXELS},
        "encoding": {
            "y": {"field": "place", "type": "ordinal", "axis": None},
            "color": {
                "field": "verdict",
                "type": "nominal",
                "title": "",
                "scale": {"domain": list(_COLOURS), "range": list(_COLOURS.values())},
                "legend": {"orient": "top"},
            },
        },
        "layer": [
            _layer("published", lowest, {"type": "tick", "thickness": 2, "size": _PIXELS - 1}),
            _layer("low", lowest, {"type": "rule", "strokeWidth": 1.5, "clip": True}, x2={"field": "high"}),
            _layer("ours", lowest, {"type": "point", "filled": True, "size": 36, "opacity": 1, "clip": True}),
            {
                "mark": {"type": "text", "align": "right", "dx": -8, "baseline": "middle", "fontSize": 9},
                "encoding": {"x": {"value": 0}, "text": {"field": "experiment"}, "color": {"value": "#767676"}},
            },
        ],
    }


def _layer(field: str, lowest: int, mark: dict[str, Any], **channels: Any) -> dict[str, Any]:
    axis = {"orient": "top", "tickCount": 8}
    x = {"field": field, "type": "quantitative", "title": "accuracy (%)", "axis": axis}
    return {"mark": mark, "encoding": {"x": {**x, "scale": {"domain": [lowest, 100]}}, **channels}}


def _row(place: int, line: Line, before: Line | None) -> dict[str, Any]:
    comparison = line.comparison
    experiment = comparison.answer.experiment
    first = before is None or before.comparison.answer.experiment is not experiment
    low, high = comparison.interval or (None, None)
    return {
        "place": place,
        "experiment": f"{experiment.report}  {experiment.title}" if first else "",
        "row": comparison.answer.name,
        "published": comparison.figure.value,
        "ours": comparison.mean,
        "low": low,
        "high": high,
        "verdict": line.state if line.state in _COLOURS else "run, without a verdict",
    }
