"""What two runs left behind, compared to the bit: rows and checkpoints, without what a clock wrote."""

import json
from pathlib import Path
from typing import Any

import torch

from trainer.runs.checkpoint import load_checkpoint

# `/sinks` holds the length of metrics.jsonl, which depends on how many digits its times have.
CLOCKED = ("/counters/train_seconds", "/counters/latest/time/", "/sinks")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith("time/")} for line in lines]


def differing(one: Path, other: Path, *, apart_from: tuple[str, ...] = ()) -> list[str]:
    """Return the places in two checkpoints that are not bit-identical."""
    ours, theirs = (_leaves(load_checkpoint(folder / "checkpoint.pt")) for folder in (one, other))
    places = [place for place in ours | theirs if not place.startswith((*CLOCKED, *apart_from))]
    return [place for place in places if not _same(ours.get(place), theirs.get(place))]


def assert_same_end(folder: Path, unbroken: Path) -> None:
    assert rows_of(folder) == rows_of(unbroken)
    assert differing(folder, unbroken) == []


def _leaves(content: Any, path: str = "") -> dict[str, Any]:
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if inner is None:
        return {path: content}
    return {place: leaf for key, value in inner for place, leaf in _leaves(value, f"{path}/{key}").items()}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other
