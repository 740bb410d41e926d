"""TensorBoard: curves, hyperparameters and pictures in `RUN/tensorboard`, for `tensorboard --logdir runs`.

A failure is one line on stderr and never ends a run.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from trainer.config.overrides import flatten
from trainer.config.sink import TensorboardSink as Config
from trainer.protocols import Progress, Record, RunInfo, Status
from trainer.sinks.mirrors import Said, records_since

FOLDER = "tensorboard"
_METRIC = "test/accuracy"  # beside the hyperparameters


def _one_line(args: threading.ExceptHookArgs, otherwise: Any = threading.excepthook) -> None:
    """Leave out the traceback of the writer's thread: the next call raises its error again, which is then told."""
    if not type(args.thread).__module__.startswith("tensorboard."):
        otherwise(args)


threading.excepthook = _one_line


class TensorboardSink:
    """A scalar for each number of a record at its step. The resolved config is flat and dotted."""

    name = "tensorboard"

    def __init__(self, config: Config) -> None:
        self.config = config
        self._said = Said(self.name)
        self._writer: SummaryWriter | None = None
        self._step = 0  # of the last record

    def start(self, run: RunInfo) -> None:
        """Begin or continue the log. A resume hides what came after the checkpoint, and writes it again."""
        since = int(run.memory.get("step", 0))
        with self._said.reported("nothing is recorded"):
            self._writer = SummaryWriter(run.folder / FOLDER, purge_step=since if run.resumed else None)
            self._describe(self._writer, run)
            self._said.say_what_is_not_drawn(run)
        with self._said.reported("the rows from before are not written"):
            for record in records_since(run, since):
                self.log(record)

    def progress(self, progress: Progress) -> None:
        pass

    def log(self, record: Record) -> None:
        """Write one scalar for each number. It returns at once: the writer has a thread of its own."""
        self._step = record.step
        if (writer := self._writer) is None:
            return
        with self._said.reported("a row is not written"):
            for key, value in {**record.metrics, "epoch": record.epoch}.items():
                writer.add_scalar(key, value, record.step)
            for key, path in record.pictures.items():
                with Image.open(path) as image:
                    writer.add_image(key, np.asarray(image.convert("RGB")), record.step, dataformats="HWC")

    def memory(self) -> Mapping[str, Any]:
        """Return the step up to which the log is on disk."""
        if self._writer:
            with self._said.reported("not all is written"):
                self._writer.flush()
        return {"step": self._step}

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """Write the status and the headline, and close the log."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with self._said.reported("not all is written"):
            writer.add_text("status", status, self._step)
            if (headline := summary.get("headline/accuracy")) is not None:
                writer.add_scalar("headline/accuracy", headline, self._step)
            writer.close()

    def _describe(self, writer: SummaryWriter, run: RunInfo) -> None:
        """Write the config for the tabs Text and HParams, at step 0 and into this log.

        `SummaryWriter.add_hparams` would make a second run beside it.
        """
        flat = {key: value if isinstance(value, (bool, int, float)) else str(value)
                for key, value in flatten(run.config).items()}  # fmt: skip
        rows = "\n".join(f"| {key} | {value} |" for key, value in flat.items())
        writer.add_text("config", f"{run.config_hash}\n\n| key | value |\n|---|---|\n{rows}", 0)
        files = writer._get_file_writer()  # pyright: ignore[reportPrivateUsage]  # torch has no public way to one log
        for part in hparams(flat, {_METRIC: None}):
            files.add_summary(part, 0)
