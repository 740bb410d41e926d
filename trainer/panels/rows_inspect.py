"""Panels of what `trainer inspect` has found, from RUN/inspect/inspect.json."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from trainer.panels.panel import Column, Panel, Preset, Row
from trainer.runs.history import History

_MOST_LAYERS = 60  # that can be read under each other
_PASS_THROUGH = ("Identity", "Dropout", "Dropout2d", "Flatten")  # which say nothing of their own

Numbers = Mapping[str, Any]
"""What an inspect.json holds."""


def reliability_rows(numbers: Numbers, group: str) -> list[Row]:
    """A row a bin, empty ones too; shares in percent."""
    bins = numbers["calibration"]["bins"]
    total = sum(each["images"] for each in bins) or 1
    return [
        {
            "group": group,
            "low": 100 * each["above"],
            "high": 100 * each["to"],
            "share": 100 * each["images"] / total,
            "confidence": None if each["confidence"] is None else 100 * each["confidence"],
            "accuracy": None if each["accuracy"] is None else 100 * each["accuracy"],
        }
        for each in bins
    ]


def layer_rows(numbers: Numbers, group: str) -> list[Row]:
    """A row a layer, in the network's order. Of a network of more than 60 those with matrices of weights, the first 60;
    as dead counts then what is so in any layer from there to the next, such as the activation that follows."""
    layers = [row for row in numbers["layers"]["rows"] if row["kind"] not in _PASS_THROUGH]
    shown = range(len(layers))
    if len(layers) > _MOST_LAYERS:
        shown = [i for i, row in enumerate(layers) if row["kind"] in ("Conv2d", "Linear")] or shown
    return [
        {
            "group": group,
            "layer": f"{layers[here]['layer']} ({layers[here]['kind']})",
            "order": order,
            "activation_std": layers[here]["activation_std"],
            "dead": 100 * max(row["dead"] for row in layers[here:until]),
            "weight_norm": layers[here]["weight_norm"],
        }
        for order, (here, until) in enumerate(pairwise([*shown, len(layers)]))
        if order < _MOST_LAYERS
    ]


def _of_runs(make: Callable[[Numbers, str], list[Row]]) -> Callable[[Sequence[History]], list[Row]]:
    def rows(histories: Sequence[History]) -> list[Row]:
        found: list[Row] = []
        for history in histories:
            with contextlib.suppress(OSError, ValueError):  # a run that was not inspected has nothing to draw
                path = history.inspected or history.folder / "inspect" / "inspect.json"
                found += make(json.loads(path.read_text(encoding="utf-8")), history.name)
        return found

    return rows


INSPECTED = (
    Panel(
        "reliability",
        1,
        "Is it as sure as it is right?",
        "Test images by confidence, in 15 bins; on the dashed line a network is right as often as it says.",
        {
            "group": Column("text", "run"),
            "low": Column("number", "a bin's lower edge (%)"),
            "high": Column("number", "a bin's upper edge (%)"),
            "share": Column("number", "share of the test images (%)"),
            "confidence": Column("number", "mean confidence (%)"),
            "accuracy": Column("number", "accuracy (%)"),
        },
        _of_runs(reliability_rows),
        "runs that `trainer inspect` has looked at",
        Preset("wandb/scatter/v0", {"x": "confidence", "y": "accuracy"}, {}),
    ),
    Panel(
        "layer_statistics",
        1,
        "What the layers put out, and how large their weights are",
        "A dead channel is 0 for every image at every pixel, in a layer or up to the next one shown.",
        {
            "group": Column("text", "run"),
            "layer": Column("text", "layer"),
            "order": Column("number", "its place in the network, from 0"),
            "activation_std": Column("number", "standard deviation of the outputs"),
            "dead": Column("number", "dead channels, of it or of what follows up to the next layer shown (%)"),
            "weight_norm": Column("number", "L2 norm of the weights"),
        },
        _of_runs(layer_rows),
        "runs that `trainer inspect` has looked at",
        Preset("wandb/bar/v0", {"label": "layer", "value": "activation_std"}, {}),
    ),
)
