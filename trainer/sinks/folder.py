"""The run folder: always written, mirrored by W&B and read by reports.

config.yaml    the resolved config        run.json       provenance, status, times
metrics.jsonl  a row per record           summary.json   the headline numbers
checkpoint.pt  what a resume needs        confusion.json  test images by true class and by predicted
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.files import disk_errors, finite_or_none, parse_json, write_json
from trainer.protocols import Progress, Record, RunInfo, Status

ROWS = "metrics.jsonl"


def rows_known(memory: Mapping[str, Any]) -> int:
    """Return how many bytes of ROWS a checkpoint knows, from the sink's memory in it."""
    return memory.get("metrics_bytes", 0)


class FolderSink:
    """metrics.jsonl, written row by row, and JSON files, written whole. Raises DiskError if one cannot be written."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._info: dict[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        self._info = self._provenance(run)
        self._write("run.json", self._info | {"status": "running"})
        (self.folder / "summary.json").unlink(missing_ok=True)  # of an earlier segment; this one is not over
        self._rows = self.folder / ROWS
        # The steps after the last checkpoint are repeated, and write the same rows again.
        end = rows_known(run.memory)  # the file is that long at least: a resume of a shorter one is refused
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
        if not self._info:  # it could not start
            return
        self._write("summary.json", summary)
        self._write("run.json", self._info | {"status": status, "ended": summary["ended"]})

    def _provenance(self, run: RunInfo) -> dict[str, Any]:
        """Return the provenance of the run's start, with that of each later segment under `resumed`.

        This segment's stands for a start that can no longer be read.
        """
        if not run.resumed:
            return dict(run.provenance)
        first: Any = None
        with disk_errors(self.folder / "run.json", "cannot be read"), contextlib.suppress(ValueError):
            first = parse_json((self.folder / "run.json").read_bytes())
        first = dict(first if isinstance(first, dict) else run.provenance)
        first.pop("ended", None)
        return {**first, "resumed": [*first.get("resumed", []), dict(run.provenance)]}

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_json(self.folder / name, content, indent=2)
