"""trackio: runs in a database on this machine, for `trackio show`. No server and no account.

A failure is one line on stderr and never ends a run.
"""

import contextlib
import io
import uuid
from collections.abc import Mapping
from typing import Any

import trackio
from trackio.run import Run

from trainer.config.overrides import flatten
from trainer.config.sink import TrackioSink as Config
from trainer.protocols import Progress, Record, RunInfo, Status
from trainer.sinks.mirrors import Said, records_since


class LocalRun(Run):
    """A run of trackio's that asks no server for anything.

    `trackio.init` would also follow TRACKIO_SPACE_ID to a server, measure the machine, and print.
    """

    def __init__(self, config: Config, said: Said, run: RunInfo, run_id: str) -> None:
        self._to_say = said
        flat = {**flatten(run.config), "config_hash": run.config_hash}
        super().__init__(None, config.project, None, run.name, run_id, config.group, flat)

    def _get_username(self) -> str | None:
        """Leave out the account: trackio asks its server for the name if it finds a token."""
        return None

    def _warn_once(self, key: str, message: str) -> None:
        self._to_say.say(message)


class TrackioSink:
    """One run of trackio's: a row per record at its step, the resolved config flat and dotted."""

    name = "trackio"

    def __init__(self, config: Config) -> None:
        self.config = config
        self._said = Said(self.name)
        self._run: LocalRun | None = None
        self._memory: Mapping[str, Any] = {}
        self._step = 0  # of the last record

    def start(self, run: RunInfo) -> None:
        """Begin or continue the run. A resume puts the rows of its checkpoint in place of all that was there."""
        self._memory = {"id": uuid.uuid4().hex, **run.memory}
        with self._said.reported("nothing is recorded"), _nothing_printed():
            if run.memory:
                self._forget(run.name)
            self._run = LocalRun(self.config, self._said, run, self._memory["id"])
            self._said.say_what_is_not_drawn(run)
        with self._said.reported("the rows from before are not written"):
            for record in records_since(run, 0):
                self.log(record)

    def progress(self, progress: Progress) -> None:
        pass

    def log(self, record: Record) -> None:
        """Write one row. It returns at once: trackio has a thread of its own."""
        self._step = record.step
        if self._run is None:
            return
        row: dict[str, Any] = {**record.metrics, "epoch": record.epoch}
        with self._said.reported("a row is not written"):
            row |= {key: trackio.Image(path) for key, path in record.pictures.items()}
            self._run.log(row, step=record.step)

    def memory(self) -> Mapping[str, Any]:
        return self._memory

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """Write the headline, and wait at most 30 seconds until all is in the database."""
        run, self._run = self._run, None
        if run is None:
            return
        with self._said.reported("not all is written"), _nothing_printed():
            headline = summary.get("headline/accuracy")
            run.log({"status": status} | ({} if headline is None else {"headline/accuracy": headline}), step=self._step)
            run.finish()

    def _forget(self, name: str) -> None:
        for run in trackio.Api().runs(self.config.project):
            if (run.name, run.id) == (name, self._memory["id"]):
                run.delete()


def _nothing_printed() -> contextlib.redirect_stdout[io.StringIO]:
    """Keep trackio's greetings off stdout, whose last line is the run folder."""
    return contextlib.redirect_stdout(io.StringIO())
