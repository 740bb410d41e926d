"""Runs broken at a step, and what two runs left behind, compared to the bit without what a clock wrote."""

import json
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from trainer.runs.checkpoint import load_checkpoint
from trainer.training.loop import Loop

# `/sinks` holds the length of metrics.jsonl, which depends on how many digits its times have.
CLOCKED = (
    *(f"/counters/{name}_seconds" for name in ("build", "prepare", "compile", "train", "evaluate")),
    "/counters/latest/time/",
    "/sinks",
)


class _Killed(BaseException):
    """Stands for a sudden end: nothing in the program catches it."""


@contextmanager
def broken_at(step: int, how: Literal["killed", "terminated"] = "terminated") -> Generator[None]:
    """Break the run that is trained inside at a step."""
    train_batch = Loop.train_batch

    def break_off(loop: Loop, *batch: Any) -> None:
        train_batch(loop, *batch)
        if loop.counters.step == step:
            if how == "killed":
                raise _Killed
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "train_batch", break_off)
        if how == "terminated":
            yield
        else:
            with pytest.raises(_Killed):
                yield


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
