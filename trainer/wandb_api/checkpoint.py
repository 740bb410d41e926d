"""A run's last checkpoint from W&B, which `sink.wandb.checkpoint=every:SECONDS` keeps there."""

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import wandb
from wandb.errors import CommError

from trainer.errors import CheckpointError, SweepError
from trainer.files import disk_errors
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.folder import locked, read_config, read_summary, refuse_bad_name, refuse_malformed_name
from trainer.sinks.wandb_checkpoint import TYPE, artifact_name
from trainer.wandb_api.client import asking


def fetch_checkpoint(place: str, runs: Path) -> Path:
    """Bring a run's last checkpoint into its folder in `runs`, unless that is as far already. Return the folder.

    `place` is ENTITY/PROJECT/RUN. Raises SweepError for what W&B does not have or refuses, CheckpointError for a
    damaged checkpoint or if another run has the folder. Then nothing has changed here.
    """
    parts = place.split("/")
    if len(parts) != 3 or not all(parts):
        raise SweepError(f"--resume: wandb:{place}: expected wandb:ENTITY/PROJECT/RUN")
    entity, project, run_id = parts
    with asking() as api:
        artifact = _latest(api, f"{entity}/{project}/{artifact_name(run_id)}:latest")
        if artifact is None:
            raise SweepError(
                f"W&B: {place} has no checkpoint to go on from; a run with sink.wandb.checkpoint=every:600 keeps one"
            )
        return _bring(artifact, run_id, runs, None)


def fetch_assigned(runs: Path, name: str) -> Path | None:
    """Bring the last checkpoint of the run that an agent has handed to this process into `RUNS/NAME`.

    Return None if W&B has none. Raises as `fetch_checkpoint` does.
    """
    run_id = os.environ.get("WANDB_RUN_ID", "")
    with asking() as api:
        artifact = _latest(api, f"{artifact_name(run_id)}:latest")
        return artifact and _bring(artifact, run_id, runs, name)


def _latest(api: wandb.Api, path: str) -> Any:
    try:
        return api.artifact(path, type=TYPE)
    except (ValueError, CommError) as error:  # the client has one kind for all that goes wrong
        if "not found" in str(error):
            return None
        raise


def _bring(artifact: Any, run_id: str, runs: Path, name: str | None) -> Path:
    name = name or str(artifact.metadata.get("folder") or run_id)
    folder, aside = runs / name, runs / f".{name}.fetched-{os.getpid()}"
    refuse_malformed_name(name)
    if not folder.is_dir():
        refuse_bad_name(runs, name)
    if outside := [path for path in artifact.manifest.entries if not _is_inside(path)]:
        raise CheckpointError(f"W&B: {artifact.name}: {outside[0]!r} is outside a run folder")
    try:
        with disk_errors(aside, "cannot be made"):
            aside.mkdir(parents=True)
        artifact.download(root=str(aside), skip_cache=True)
        artifact.verify(str(aside))  # the client looks at digests here only
        fetched = _state(aside, run_id)
        read_config(aside)
        if folder.is_dir():
            _replace(folder, aside, run_id, fetched)
        else:
            with disk_errors(folder, "cannot be made"):
                aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _replace(folder: Path, aside: Path, run_id: str, fetched: int) -> None:
    """Move what was fetched over an earlier state of the same run. Raises CheckpointError if it is another run's."""
    if read_summary(folder).get("status") == "finished":
        _state(folder, run_id)  # raises if it is another run's
        return
    with locked(folder):
        if (folder / "checkpoint.pt").exists() and _state(folder, run_id) >= fetched:
            return
        paths = [path.relative_to(aside) for path in aside.rglob("*") if path.is_file()]
        for path in sorted(paths, key=lambda path: path.name == "checkpoint.pt"):  # last: the others fit an older one
            with disk_errors(folder / path):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (aside / path).replace(folder / path)


def _state(folder: Path, run_id: str) -> int:
    """Return the number of steps of a checkpoint. Raises CheckpointError if it is damaged or of another run."""
    state = load_checkpoint(folder / "checkpoint.pt")
    known = state["sinks"].get("wandb", {}).get("id")
    if known != run_id:
        raise CheckpointError(f"{folder}: is not W&B's run {run_id} but {known or 'one that W&B does not have'}")
    return int(state["counters"]["step"])


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts
