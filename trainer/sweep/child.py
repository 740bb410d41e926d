"""One point as a process of its own: `trainer train` into its run folder, from the start or resumed.

Importing Python, torch and timm takes seconds, at every point of a sweep. A server process imports them once and forks
(multiprocessing's `forkserver`). It runs no thread and touches no GPU, so its children are as good as fresh ones.
"""

import contextlib
import fcntl
import multiprocessing as mp
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trainer.errors import UserError
from trainer.files import parse_json
from trainer.runs.folder import read_summary
from trainer.runs.history import is_finite
from trainer.signals import begin_session, end_when_closed
from trainer.sweep.status import State

_UNKNOWN = 255  # of a child whose server has died, for instance out of memory: the child may still be alive
_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM, _UNKNOWN)
_DIVERGED = 3
_OF_ANOTHER_SWEEP = ("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID")  # where this runs in a W&B agent
# Elsewhere children are started from nothing: macOS's frameworks do not outlive a fork.
CONTEXT = mp.get_context("forkserver") if sys.platform == "linux" else mp.get_context("spawn")

Train = Callable[[list[str]], None]
"""Takes the arguments of `trainer train` and ends with SystemExit, whose code says how."""


Ended = tuple[State, dict[str, Any], str]
"""State, summary, and why the run failed."""


class LostError(Exception):
    """A run's machine or process has gone, for a reason that may have nothing to do with the run."""


class Running(Protocol):
    """Run that the engine has started, wherever that is, with all that it asks of it."""

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it is running. Raises LostError."""
        ...

    def new_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows logged since the last call."""
        ...

    def stop(self) -> None:
        """Ask it to finish its step, save and end."""
        ...

    def kill(self) -> None: ...


def train(arguments: list[str]) -> None:
    """Run the command line as if it had been typed."""
    import torch

    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))  # torch was imported, and has read it, before this child had its own
    sys.argv = ["trainer", "train", *arguments]
    runpy.run_module("trainer.cli", run_name="__main__")


def warm_up(modules: Sequence[str] = ("trainer.sweep.warm",)) -> None:
    """Let the server import what children need while the caller does other things."""
    if CONTEXT.get_start_method() == "forkserver":
        CONTEXT.set_forkserver_preload([__name__, *modules])
        ensure_server()


def ensure_server() -> None:
    """Start the server with SIGINT and SIGTERM ignored, from its first instruction.

    The controller passes signals on to the children. A server that died of one could not tell how its children end.
    """
    from multiprocessing import forkserver

    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        forkserver.ensure_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Child:
    """A process that trains one run. It first waits for an earlier process of this run, which may still be saving."""

    def __init__(
        self, folder: Path, overrides: Sequence[str], env: Mapping[str, str], *, target: Train = train
    ) -> None:
        self.folder = folder
        self._rows_read = 0  # bytes of metrics.jsonl
        self._log = _beside(folder, ".log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        own = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_SWEEP}
        arguments = (target, folder, list(overrides), {**own, **env}, self._log)
        self._process = CONTEXT.Process(target=_run, args=arguments, name=folder.name)
        if CONTEXT.get_start_method() == "forkserver":
            ensure_server()
        self._process.start()

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it is running."""
        code = self._process.exitcode
        if code is None or (code == _UNKNOWN and not self._gone()):
            return None
        try:
            summary = read_summary(self.folder)
        except UserError as error:
            return "crashed", {}, str(error)
        state = _state(code, summary.get("status"))
        return state, summary, "" if state == "finished" else self._last_line(code)

    def new_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows logged since the last call."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "metrics.jsonl").open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._rows_read:
                self._rows_read = 0  # cut back by a resume; a row is the same when it is written again
            file.seek(self._rows_read)
            for line in file:
                if line.endswith(b"\n"):
                    self._rows_read += len(line)
                    if (row := _row(line)) is not None:
                        yield row

    def stop(self) -> None:
        """Ask it to finish its step, save and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.join()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid or 0, number)

    def _gone(self) -> bool:
        """Return whether no process trains this run: its lock is free."""
        with _beside(self.folder, ".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _last_line(self, code: int) -> str:
        """Return the last line of its log that names an error."""
        with contextlib.suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            said = [line for line in lines[-20:] if line.strip()]
            errors = [line for line in said if "rror: " in line or line.startswith("diverged:")]
            if said and code >= 0:
                return (errors or said)[-1].strip()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _run(target: Train, folder: Path, overrides: list[str], env: dict[str, str], log: Path) -> None:
    """Train in this process, with the log as its output."""
    parent = mp.parent_process()
    assert parent
    end_when_closed(parent.sentinel)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server ignores it
    begin_session()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()  # the server's environment, as it was when the server began
    os.environ.update(env)
    with _beside(folder, ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # gone with the process that holds it, however that ends
        with contextlib.suppress(UserError):  # a damaged file, which the resume names
            if read_summary(folder).get("status") == "finished":
                return  # its controller was killed before it noted that
        if (folder / "config.yaml").is_file():
            return target(["--resume", str(folder)])
        return target([*overrides, "--runs", str(folder.parent), "--name", folder.name])


def _row(line: bytes) -> dict[str, Any] | None:
    """Return a row of metrics.jsonl, None for a damaged one: a report names it, and a sweep goes on."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and is_finite(row.get("epoch")) else None


def _state(code: int, status: str | None) -> State:
    if status == "finished":
        return "finished"
    if code < 0 or code in _INTERRUPTED:
        return "interrupted"
    if code == 0 and status == "stopped":
        return "stopped"
    return "diverged" if code == _DIVERGED else "crashed"


def _beside(folder: Path, suffix: str) -> Path:
    """Return a sweep's own file about a run. It is outside of the run's folder, which may be deleted."""
    return folder.parent / ".children" / f"{folder.name}{suffix}"
