"""The picture of a learning-rate range test."""

import math
from pathlib import Path
from typing import Any

from trainer.panels.render import render
from trainer.panels.theme import PALETTE
from trainer.training.rate_range import RateRange

_NAMES = {"lowest": "lowest loss", "steepest": "steepest fall", "suggested": "suggested"}
_SHAPES = ("circle", "triangle-up", "diamond")


def draw_rate_range(found: RateRange, path: Path, *, title: str) -> None:
    """Draw losses by rate, with the rates that are read from them. Raises ConfigError for a wrong suffix, DiskError."""
    render(rate_range_chart(found, title=title), path)


def rate_range_chart(found: RateRange, *, title: str) -> dict[str, Any]:
    """Return the chart as Vega-Lite. The axis of the loss ends where a higher one would flatten what is below."""
    rows = [{"rate": point.rate, "loss": point.loss if math.isfinite(point.loss) else None, "smoothed": point.smoothed}
            for point in found.points if math.isfinite(point.smoothed)]  # fmt: skip
    smoothed = [row["smoothed"] for row in rows] or [0.0]  # none is finite if the first step breaks the network
    low, high = min(smoothed), max(smoothed[: max(2, len(smoothed) // 10)])
    top = high + 0.5 * (high - low) if high > low else high + 1
    read = [{"rate": getattr(found, key), "what": name} for key, name in _NAMES.items() if getattr(found, key)]
    rate = {"field": "rate", "type": "quantitative", "title": "learning rate (optimizer.lr)",
            "scale": {"type": "log", "nice": False, "domain": [found.points[0].rate, found.points[-1].rate]},
            "axis": {"grid": False, "format": "~g", "tickCount": 8}}  # fmt: skip
    scale = {"domain": [low - 0.1 * (top - low), top], "nice": False}
    loss = {"type": "quantitative", "title": "loss of the next batch (nats)", "scale": scale}
    names = [row["what"] for row in read]
    marks = {"field": "what", "type": "nominal", "title": "", "legend": {"orient": "bottom"}}
    layers: list[dict[str, Any]] = [
        {"data": {"values": rows}, "mark": {"type": "point", "filled": True, "size": 12, "opacity": 0.5,
         "color": PALETTE[4], "clip": True}, "encoding": {"x": rate, "y": {**loss, "field": "loss"}}},
        {"data": {"values": rows}, "mark": {"type": "line", "strokeWidth": 2, "color": PALETTE[0], "clip": True},
         "encoding": {"x": rate, "y": {**loss, "field": "smoothed"}}},
    ]  # fmt: skip
    if read:  # without one, a legend of nothing would make the picture's size NaN
        colour = {**marks, "scale": {"domain": names, "range": [PALETTE[1], PALETTE[2], PALETTE[3]]}}
        layers += [
            {"data": {"values": read}, "mark": {"type": "rule", "strokeDash": [4, 3]},
             "encoding": {"x": rate, "color": colour}},
            {"data": {"values": read}, "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
             "encoding": {"x": rate, "y": {"value": 0}, "color": colour,
             "shape": {**marks, "scale": {"domain": names, "range": [*_SHAPES]}}}},
        ]  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {"text": title, "subtitle": [found.why_none or _about(found), "Dots: each batch. Line: smoothed."]},
        "width": 720,
        "height": 320,
        "layer": layers,
    }


def _about(found: RateRange) -> str:
    return f"Suggested: {found.suggested:.2g}, a tenth of the rate at the lowest smoothed loss."
