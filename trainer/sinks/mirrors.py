"""Parts of the sinks that send the numbers of a run to a program of its own beside the run folder."""

import math
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from trainer.config.explain import explain
from trainer.errors import first_line
from trainer.protocols import Record, RunInfo
from trainer.runs.history import read_history


class Said:
    """Messages of a sink: each is one line on stderr, once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        """Print a line once, however often the same thing fails."""
        if line not in self._said:
            self._said.add(line)
            print(f"{self._name}: {line}", file=sys.stderr)

    @contextmanager
    def reported(self, consequence: str) -> Generator[None]:
        """Print what was raised inside, and continue."""
        try:
            yield
        except Exception as error:  # of any kind: no figure that cannot be shown may end a run
            self.say(f"{consequence}: {reason(error)}")

    def say_what_is_not_drawn(self, run: RunInfo) -> None:
        """Tell a user who has turned a probe on where its panel is: here are only the curves of its numbers."""
        probes: dict[str, Any] = run.config.get("probe", {})
        due = {name: probe.get("every") or probe.get("at") for name, probe in probes.items() if isinstance(probe, dict)}
        on = [name for name, value in due.items() if value]
        if on:
            self.say(f"curves only: `trainer preview panel NAME {run.folder}` draws the panels of probe.{on[0]}")


def reason(error: Exception) -> str:
    """Return the first line of what was raised. Pydantic's only counts the mistakes, so each is named."""
    return "; ".join(explain(error, BaseModel)) if isinstance(error, ValidationError) else first_line(error)


def records_since(run: RunInfo, step: int) -> Iterator[Record]:
    """Yield what the run folder of a resumed run has from a step on, which is cut to the rows of its checkpoint.

    Numbers that were not finite are NaN.
    """
    for row in read_history(run.folder).rows if run.resumed else ():
        metrics = {key: math.nan if value is None else value for key, value in row.items()}
        epoch, at = metrics.pop("epoch"), int(metrics.pop("step"))
        if at >= step:
            yield Record(epoch, at, metrics)
