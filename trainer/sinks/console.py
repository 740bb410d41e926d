"""The console: a live bar on a terminal, otherwise a line per epoch. All of it goes to stderr, results to stdout."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from trainer.config.doubts import doubts
from trainer.config.sink import ConsoleSink as Config
from trainer.protocols import Progress, Record, RunInfo, Status


class ConsoleSink:
    """A run as the person who started it sees it."""

    name = "console"

    def __init__(self, config: Config) -> None:
        live = config.mode == "bar" or (config.mode == "auto" and sys.stderr.isatty())
        self._off = config.mode == "off"
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._bar = progress_bar(self._console) if live and not self._off else None
        self._epochs: float = 0

    def start(self, run: RunInfo) -> None:
        self._epochs = run.config["train"]["epochs"]
        how = "resuming" if run.resumed else "training"
        data, model = run.config["data"]["name"], run.config["model"]["name"]
        self._say(
            f"{how} {model} on {data}, seed {run.config['seed']}, {run.provenance['device']}, "
            f"{run.provenance['precision']}"
        )
        for warning in doubts(run.config):
            self._say(f"warning: {warning}")
        if self._bar:
            self._task = self._bar.add_task("", total=None, note="")
            self._bar.start()

    def progress(self, progress: Progress) -> None:
        if self._bar:
            total, done = progress.steps_per_epoch, progress.step_in_epoch
            name = f"epoch {progress.epoch}/{progress.epochs}"
            self._bar.update(self._task, total=total, completed=done, description=name, note=_numbers(progress.metrics))

    def log(self, record: Record) -> None:
        if "train/loss" in record.metrics:
            name = f"epoch {record.epoch:g}/{self._epochs}"
            self._say(f"{name:<14} {_numbers(record.metrics)}")

    def memory(self) -> Mapping[str, Any]:
        return {}

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        if self._bar:
            self._bar.stop()

    def _say(self, line: str) -> None:
        if not self._off:
            self._console.print(line, markup=False)


def progress_bar(console: Console) -> RichProgress:
    """Return a bar with description, count, `note` and times. It disappears when it is stopped."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return RichProgress(*columns, console=console, transient=True)


def _numbers(metrics: Mapping[str, float]) -> str:
    """Return `loss 0.512  accuracy 83.10%  test 81.20%  310 images/s`, as far as known."""
    shown = {
        "train/loss": "loss {:.4f}",
        "train/accuracy": "accuracy {:.2%}",
        "val/accuracy": "val {:.2%}",
        "test/accuracy": "test {:.2%}",
        "time/images_per_second": "{:.0f} images/s",
    }
    return "  ".join(form.format(metrics[key]) for key, form in shown.items() if key in metrics)
