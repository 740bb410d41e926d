"""W&B's record of one run, converted into the files of a run folder. No network here."""

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.config.load import validate
from trainer.config.overrides import flatten, nest, write_override
from trainer.config.run import RunConfig
from trainer.errors import ConfigError
from trainer.own.travel import is_text

Row = dict[str, Any]

UNDER_WAY = ("pending", "running", "preempting")
"""W&B's states of a run that is not over."""

_NOT_THE_FOLDERS = ("_", "panels/", "inspect/")  # W&B's own columns, the charts' tables, what was looked at later


def config_of(told: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return (nested config, overrides of other swept keys, such as a recipe). It is empty for foreign runs.

    Raises ConfigError if a key is both a value and a section.
    """
    flat = flatten(told)  # of a sweep's nested parameter the same values come twice
    ours = {key: value for key, value in flat.items() if key.partition(".")[0] in RunConfig.model_fields}
    others = {key: value for key, value in flat.items() if key not in ours and not is_text(key)}
    return _typed(nest(ours)), [write_override(key, value) for key, value in others.items()]


def _typed(config: dict[str, Any]) -> dict[str, Any]:
    """Return a valid config in the order and types of its sections, which W&B does not keep: 1.0 comes back as 1."""
    try:
        own = validate(config).model_dump(mode="json")
    except ConfigError:
        return config
    return own if flatten(own) == flatten(config) else config


def rows_of(told: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the rows of metrics.jsonl, oldest first."""
    rows = [
        {"epoch": row["epoch"], "step": row["step"], **metrics}
        for row in told
        if "epoch" in row and "step" in row and (metrics := _numbers(row, without=("epoch", "step")))
    ]
    return _as_if_once(_in_order(rows))


def _numbers(told: Mapping[str, Any], without: Iterable[str]) -> Row:
    """Return the trainer's metrics, null for infinities and NaN. A metric that a row lacks may come as null."""
    return {
        key: _finite(value)
        for key, value in sorted(told.items())
        if key not in without and value is not None and _is_the_folders(key, value)
    }


def _is_the_folders(key: str, value: Any) -> bool:
    return not key.startswith(_NOT_THE_FOLDERS) and not isinstance(value, dict | list)


def _finite(value: Any) -> Any:
    """Return None for infinities and NaN, which W&B has as numbers or texts."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with each part that lies wholly before the others at its place: offline rows can be sent late."""
    parts: list[list[Row]] = []
    for row in rows:
        if not parts or row["step"] < parts[-1][-1]["step"]:
            parts.append([])
        parts[-1].append(row)
    ordered: list[Row] = []
    for part in parts:
        late = ordered and part[-1]["step"] < ordered[0]["step"]
        ordered = [*part, *ordered] if late else [*ordered, *part]
    return ordered


def _as_if_once(rows: Iterable[Row]) -> list[Row]:
    """Return the rows as of a run that was never interrupted.

    A resumed run measures again what came after its checkpoint. Its folder drops the first measurements. W&B keeps
    both.
    """
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
    """Return summary.json, empty if the run has not reported how it ended.

    W&B has no nulls in it, and adds the last value of every logged metric. A folder has only those of an epoch's end.
    """
    if state in UNDER_WAY or "status" not in told:
        return {}
    logged = {key for row in rows for key in row}
    at_epochs_end = {key for row in rows if "train/accuracy" in row for key in row if not key.startswith("optimizer/")}
    beside = logged - at_epochs_end - {"epoch", "step"}
    nulls = dict.fromkeys([*at_epochs_end, *(["headline/accuracy"] if "headline/protocol" in told else [])])
    return nulls | {k: _finite(value) for k, value in told.items() if _is_the_folders(k, value) and k not in beside}


def status_of(state: str, summary: Mapping[str, Any]) -> str:
    """Return a run's status, its own or else W&B's state."""
    return "running" if state in UNDER_WAY else str(summary.get("status") or state)


def confusion_table(told: Mapping[str, Any]) -> str | None:
    """Return the path of the confusion panel's table among a run's files."""
    found = (value for key, value in told.items() if key.endswith("panels/confusion_matrix_table"))
    return next((value.get("path") for value in found if isinstance(value, dict)), None)


def confusion_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return confusion.json from a table of `actual`, `predicted` and `images`, classes in order of appearance."""
    actual, predicted, images = (table["columns"].index(name) for name in ("actual", "predicted", "images"))
    counts = {(row[actual], row[predicted]): int(row[images]) for row in table["data"]}
    classes = list(dict.fromkeys(true for true, _ in counts))
    return {"classes": classes, "counts": [[counts[true, guess] for guess in classes] for true in classes]}


def as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def as_lines(rows: Iterable[Row]) -> bytes:
    return b"".join(json.dumps(row, allow_nan=False).encode() + b"\n" for row in rows)
