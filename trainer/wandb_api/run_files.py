"""What W&B has of one run, put back into the form of a run folder's files. No network here."""

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.config.load import validate
from trainer.config.overrides import flatten, nest, write_override
from trainer.config.run import RunConfig
from trainer.errors import ConfigError

Row = dict[str, Any]

UNDER_WAY = ("pending", "running", "preempting")
"""States of W&B's in which more of a run is to come."""

_NOT_THE_FOLDERS = ("_", "panels/", "inspect/")  # W&B's own columns, the charts' tables, what was looked at later


def config_of(told: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the config, nested; `KEY=VALUE` words of what else was swept, such as a recipe). Empty where it is none of ours.

    Raises ConfigError where a key is both a value and a section.
    """
    flat = flatten(told)  # of a sweep's nested parameter the same values come twice
    ours = {key: value for key, value in flat.items() if key.partition(".")[0] in RunConfig.model_fields}
    return _typed(nest(ours)), [write_override(key, value) for key, value in flat.items() if key not in ours]


def _typed(config: dict[str, Any]) -> dict[str, Any]:
    """The config in the order and the types of its sections, which W&B does not keep: 1.0 comes back as 1. As it is
    where it is not one of today's."""
    try:
        own = validate(config).model_dump(mode="json")
    except ConfigError:
        return config
    return own if flatten(own) == flatten(config) else config


def rows_of(told: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows of metrics.jsonl from those that W&B has, oldest first."""
    rows = [
        {"epoch": row["epoch"], "step": row["step"], **metrics}
        for row in told
        if "epoch" in row and "step" in row and (metrics := _numbers(row, without=("epoch", "step")))
    ]
    return _as_if_once(rows)


def _numbers(told: Mapping[str, Any], without: Iterable[str]) -> Row:
    """Our own metrics, null for what is infinite or not a number. What a row lacks may come as null."""
    return {
        key: _finite(value)
        for key, value in sorted(told.items())
        if key not in without and value is not None and _is_the_folders(key, value)
    }


def _is_the_folders(key: str, value: Any) -> bool:
    return not key.startswith(_NOT_THE_FOLDERS) and not isinstance(value, dict | list)


def _finite(value: Any) -> Any:
    """W&B spells what JSON has no word for as a number, or as a text."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_if_once(rows: Iterable[Row]) -> list[Row]:
    """The rows of a run that was never broken off. A resumed run goes back to its checkpoint and measures again what
    came after; its folder then drops the first measurements, and W&B keeps both."""
    kept: list[Row] = []
    place: dict[tuple[Any, ...], int] = {}  # of each measurement
    for row in rows:
        what = (row["step"], *row)
        again = place.get(what)
        if again is None and kept and row["step"] < kept[-1]["step"]:
            again = bisect_left(kept, row["step"], key=lambda each: each["step"])
        if again is not None:
            for dropped in kept[again:]:
                del place[dropped["step"], *dropped]
            del kept[again:]
        place[what] = len(kept)
        kept.append(row)
    return kept


def summary_of(told: Mapping[str, Any], rows: Sequence[Row], state: str) -> Row:
    """summary.json; empty where the run has not said how it ended. W&B has no nulls in it, and adds the last value of
    whatever was logged: of that a folder has only what stands in the row of an epoch's end."""
    if state in UNDER_WAY or "status" not in told:
        return {}
    logged = {key for row in rows for key in row}
    at_epochs_end = {key for row in rows if "train/accuracy" in row for key in row if not key.startswith("optimizer/")}
    beside = logged - at_epochs_end - {"epoch", "step"}
    nulls = dict.fromkeys([*at_epochs_end, *(["headline/accuracy"] if "headline/protocol" in told else [])])
    return nulls | {k: _finite(value) for k, value in told.items() if _is_the_folders(k, value) and k not in beside}


def status_of(state: str, summary: Mapping[str, Any]) -> str:
    """What became of a run, in our words where it has said so itself, else in W&B's."""
    return "running" if state in UNDER_WAY else str(summary.get("status") or state)


def confusion_table(told: Mapping[str, Any]) -> str | None:
    """Where among a run's files the table of its confusion panel lies."""
    found = (value for key, value in told.items() if key.endswith("panels/confusion_matrix_table"))
    return next((value.get("path") for value in found if isinstance(value, dict)), None)


def confusion_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """confusion.json from a table of `actual`, `predicted`, `images`, its classes in the order in which they come."""
    actual, predicted, images = (table["columns"].index(name) for name in ("actual", "predicted", "images"))
    counts = {(row[actual], row[predicted]): int(row[images]) for row in table["data"]}
    classes = list(dict.fromkeys(true for true, _ in counts))
    return {"classes": classes, "counts": [[counts[true, guess] for guess in classes] for true in classes]}


def as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def as_lines(rows: Iterable[Row]) -> bytes:
    return b"".join(json.dumps(row, allow_nan=False).encode() + b"\n" for row in rows)
