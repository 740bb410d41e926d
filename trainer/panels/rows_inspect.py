"""Rows of what `trainer inspect` measured, from RUN/inspect/inspect.json."""

import contextlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from trainer.files import parse_json
from trainer.panels.panel import Histories, Row, Rows

_MOST_LAYERS = 60  # that can be read below each other
_WEIGHTED = ("Conv2d", "Linear")  # layers with a weight matrix
_PASS_THROUGH = ("Identity", "Dropout", "Dropout2d", "Flatten")  # layers without statistics of their own

Numbers = Mapping[str, Any]
"""The content of an inspect.json."""


def reliability_rows(numbers: Numbers, group: str) -> list[Row]:
    """Return a row for each bin, empty ones too. Shares are in percent."""
    bins = numbers["calibration"]["bins"]
    total = sum(bucket["images"] for bucket in bins) or 1
    return [
        {
            "group": group,
            "low": 100 * bucket["above"],
            "high": 100 * bucket["to"],
            "share": 100 * bucket["images"] / total,
            "confidence": None if bucket["confidence"] is None else 100 * bucket["confidence"],
            "accuracy": None if bucket["accuracy"] is None else 100 * bucket["accuracy"],
        }
        for bucket in bins
    ]


def layer_rows(numbers: Numbers, group: str) -> list[Row]:
    """Return a row for each layer, in the network's order.

    A network of more than 60 layers shows the first 60 that have a weight matrix, and a last row without numbers says
    of how many. The share of dead channels is then the largest of the layer and of the layers up to the next one
    shown, such as the activation that follows.
    """
    layers = [row for row in numbers["layers"]["rows"] if row["kind"] not in _PASS_THROUGH]
    shown, what = range(len(layers)), "layers"
    if len(layers) > _MOST_LAYERS and (weighted := [i for i, row in enumerate(layers) if row["kind"] in _WEIGHTED]):
        shown, what = weighted, f"{' and '.join(_WEIGHTED)} layers"
    rows: list[Row] = [
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
    if len(shown) > _MOST_LAYERS:
        said = f"the first {_MOST_LAYERS} of {len(shown)} {what}"
        nothing = dict.fromkeys(("activation_std", "dead", "weight_norm"))
        rows.append({"group": group, "layer": said, "order": _MOST_LAYERS, **nothing})
    return rows


def of_inspected_runs(make: Callable[[Numbers, str], list[Row]]) -> Rows:
    """Make the rows of each run that has an inspect.json, under the run's name."""

    def rows(groups: Histories) -> list[Row]:
        table: list[Row] = []
        for run in (run for runs in groups.values() for run in runs):
            # A run that was not inspected has nothing to draw, nor has one whose file is damaged.
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                content = parse_json((run.folder / "inspect" / "inspect.json").read_bytes())
                table += make(content, run.name) if isinstance(content, dict) else []
        return table

    return rows
