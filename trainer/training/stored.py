"""State that a run folder has for a resume. One that would lose something is refused before anything is touched."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.data.images import ImageSet
from trainer.errors import CheckpointError
from trainer.files import disk_errors
from trainer.runs.checkpoint import load_checkpoint
from trainer.sinks.folder import ROWS, rows_known


def begun_on(state: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the kind of device and the precision of a checkpoint's steps, None if it has none or does not say."""
    return state.get("compute") if state and state["counters"]["step"] else None


def tell_of_another_machine(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say on stderr that a run goes on where its bits can be others than before, if the provenance says so.

    `before` is that of its start, with later ones under `resumed`.
    """
    names = ("torch", "cuda", "cudnn")

    def of(provenance: Mapping[str, Any]) -> dict[str, str]:
        versions = provenance.get("versions") or {}
        return {"device": provenance.get("device", ""), **{name: versions.get(name, "none") for name in names}}

    last = next(reversed(before.get("resumed") or []), before)
    old, new = of(last), of(now)
    differing = [f"{key} {new[key]}, before {old[key]}" for key in new if old["device"] and old[key] != new[key]]
    if differing:
        print(f"resumed elsewhere, so bits can differ: {'; '.join(differing)}", file=sys.stderr)


def read_state(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a run's last checkpoint, None if the run was killed before its first one.

    Raises CheckpointError for a damaged checkpoint, for one that has been lost, or if rows from before it have been.
    """
    path, rows = folder / "checkpoint.pt", folder / ROWS
    with disk_errors(folder, "cannot be read"):
        size = rows.stat().st_size if rows.exists() else 0
        begun = path.exists()
    if not begun:
        if size or summary.get("step"):
            found = "rows" if size else f"a summary at step {summary['step']}"
            raise CheckpointError(f"{path}: missing, but there are {found}; bring it back, or start a new run")
        return None
    state = load_checkpoint(path)
    known = rows_known(state["sinks"].get("folder", {}))
    if size < known:
        raise CheckpointError(
            f"{rows}: has {size} of the {known} bytes that the checkpoint knows; bring it back, or start a new run"
        )
    return state


def refuse_other_ranks(config: RunConfig, count: int, state: Mapping[str, Any]) -> None:
    """Raise CheckpointError if a run of this config and state has steps behind it and before it, on other ranks."""
    counters, train = state["counters"], config.train
    left = not counters["ended"] and counters["epoch"] < train.epochs and counters["step"] != train.max_steps
    if train.devices != count and counters["step"] and left:
        raise CheckpointError(
            f"train.devices: the run has {train.devices}, not {count}: sums over other parts round in another way; "
            f"resume it with {train.devices}, or start a new run"
        )


def trained_on(state: Mapping[str, Any], image_set: ImageSet, fingerprint: str) -> bool:
    """Return whether a checkpoint is of a run on this data. Those of 0.1.0 know only the number of training images."""
    return state["data"] == fingerprint if "data" in state else state.get("images") == len(image_set.train.labels)


def knows_normalisation(state: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint says by which mean and std its images were normalised: it, or else its config."""
    data = state["config"]["data"]
    return "normalisation" in state or bool(data.get("mean") and data.get("std"))


def normalised_as_trained(image_set: ImageSet, state: Mapping[str, Any] | None) -> ImageSet:
    """Return the images with the mean and std of a checkpoint: its weights are for those. An older one has none."""
    return replace(image_set, **(state or {}).get("normalisation", {}))
