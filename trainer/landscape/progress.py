"""Progress of a measurement on stderr: a live bar on a terminal, otherwise a line every 15 seconds."""

import time
from contextlib import AbstractContextManager

from rich.console import Console

from trainer.sinks.console import progress_bar
from trainer.text import duration_text

_SECONDS = 15  # between two lines


class ProgressDisplay(AbstractContextManager["ProgressDisplay"]):
    """A progress display. Call `advance` after each of `total` steps. `done` steps were made before."""

    def __init__(self, title: str, total: int, *, done: int = 0) -> None:
        self._title, self._total, self._done, self._before = title, total, done, done
        console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._console, self._bar = console, progress_bar(console) if console.is_terminal else None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> "ProgressDisplay":
        if self._bar:
            self._task = self._bar.add_task(self._title, total=self._total, completed=self._done, note="")
            self._bar.start()
        else:
            self._say(f"{self._title}: {self._done} of {self._total} done")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, note: str = "") -> None:
        """Count one more step. `note` is shown beside the count."""
        self._done += 1
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=self._done, note=note)
        elif now - self._said >= _SECONDS:
            self._said = now
            left = (now - self._began) / (self._done - self._before) * (self._total - self._done)
            parts = [f"{self._title}: {self._done} of {self._total} done", *([note] if note else [])]
            self._say(", ".join([*parts, f"about {duration_text(left)} left"]))

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)
