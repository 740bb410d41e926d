"""The last checkpoint of a run as a W&B artifact, from which another machine goes on (`wandb_api/checkpoint.py`)."""

import threading
import time
from contextlib import suppress
from pathlib import Path

import wandb

TYPE = "checkpoint"
_FILES = ("checkpoint.pt", "best.pt", "config.yaml", "run.json", "metrics.jsonl")
_FOLDERS = ("own", "path")
_SECONDS_TO_SEND = 10  # at a run's end: an agent kills 30 s after its SIGTERM


def artifact_name(run_id: str) -> str:
    return f"resume-{run_id}"


class CheckpointMirror:
    """Sends a run folder's checkpoint, at most every `seconds` and one after another.

    An older version is deleted only when a newer one is whole at W&B. Training never waits for the server, only until
    W&B's client has copied the files.
    """

    def __init__(self, run: wandb.Run, folder: Path, seconds: float) -> None:
        self._run = run
        self._folder = folder
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._sent_at = 0  # time of the checkpoint's file, in ns
        self._on_the_way = threading.Thread()
        self._arrived: wandb.Artifact | None = None

    def tend(self) -> None:
        """Send the checkpoint if it is time, it is a new one, and none is on the way. Cheap otherwise."""
        now = time.monotonic()
        if now >= self._due and not self._on_the_way.is_alive():
            self._due = now + self._seconds
            self._send()

    def finish(self, *, resumable: bool) -> None:
        """Send the checkpoint of a run that is to be resumed, and wait a few seconds for what is on the way."""
        if resumable:
            self._send()
        if self._on_the_way.ident is not None:
            self._on_the_way.join(_SECONDS_TO_SEND)

    def _send(self) -> None:
        checkpoint = self._folder / "checkpoint.pt"
        if not checkpoint.exists() or checkpoint.stat().st_mtime_ns == self._sent_at:
            return
        sent_at = checkpoint.stat().st_mtime_ns
        artifact = wandb.Artifact(artifact_name(self._run.id), type=TYPE, metadata={"folder": self._folder.name})
        # The rows are copied after the checkpoint. A resume cuts off those that came later, and could not bring back
        # missing ones.
        for path in (self._folder / name for name in _FILES):
            if path.exists():
                artifact.add_file(str(path), name=path.name)
        for name in _FOLDERS:
            if (self._folder / name).is_dir():
                artifact.add_dir(str(self._folder / name), name=name)
        version = self._run.log_artifact(artifact, aliases=["latest"])
        self._sent_at = sent_at
        self._on_the_way = threading.Thread(target=self._see_it_arrive, args=(version, self._on_the_way), daemon=True)
        self._on_the_way.start()

    def _see_it_arrive(self, version: wandb.Artifact, before: threading.Thread) -> None:
        """Wait until a version is whole at the server, and delete the one before."""
        if before.ident is not None:
            before.join()  # else the older one could arrive last, and the newer one would be deleted
        with suppress(Exception):  # of many kinds, if the server is away; the next version is sent all the same
            version.wait()
            older, self._arrived = self._arrived, version
            if older:
                older.delete(delete_aliases=True)
