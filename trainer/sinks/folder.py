"""The run folder: always written, the truth that W&B mirrors and reports read.

config.yaml    the resolved config        run.json       provenance, status, times
metrics.jsonl  a row a record             summary.json   the headline numbers
checkpoint.pt  what a resume needs        confusion.json  test images by true class, then by predicted
pictures/
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.files import disk_errors, write_whole
from trainer.protocols import Progress, Record, RunInfo, Status, finite_or_none


class FolderSink:
    """Writes metrics.jsonl row by row, and the other files whole. Raises DiskError where the disk refuses."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._info: dict[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        self._info = self._provenance(run)
        self._write_json("run.json", self._info | {"status": "running"})
        (self.folder / "summary.json").unlink(missing_ok=True)  # an earlier segment's; this one is not over
        self._rows = self.folder / "metrics.jsonl"
        # Rows after the last checkpoint are written again, to the letter, by the steps that are taken again.
        end = run.memory.get("metrics_bytes", 0)
        with disk_errors(self._rows), self._rows.open("ab") as file:
            file.truncate(end)

    def progress(self, progress: Progress) -> None:
        pass

    def log(self, record: Record) -> None:
        row = {"epoch": record.epoch, "step": record.step, **finite_or_none(record.metrics)}
        with disk_errors(self._rows), self._rows.open("ab") as file:
            file.write(json.dumps(row, allow_nan=False).encode() + b"\n")

    def memory(self) -> Mapping[str, Any]:
        with disk_errors(self._rows), self._rows.open("ab") as file:
            os.fsync(file.fileno())
            return {"metrics_bytes": file.tell()}

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        self._write_json("summary.json", summary)
        self._write_json("run.json", self._info | {"status": status, "ended": summary["ended"]})

    def _provenance(self, run: RunInfo) -> dict[str, Any]:
        """Of the run's start, and under `resumed` of each later segment."""
        if not run.resumed:
            return dict(run.provenance)
        with disk_errors(self.folder / "run.json", "cannot be read"):
            first = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        first.pop("ended", None)
        return {**first, "resumed": [*first.get("resumed", []), dict(run.provenance)]}

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        write_whole(self.folder / name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
