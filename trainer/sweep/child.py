"""One point as a process of its own: `trainer train` into its run folder, from the start or resumed.

Importing Python, torch and timm takes seconds, at every point of a sweep. A server process imports them once and forks
(multiprocessing's `forkserver`). It runs no thread and touches no GPU, so its children are as good as fresh ones.

A process that stays takes another run once the last has ended well: it has its data set, its CUDA context and the
service of W&B, which take seconds, too. `trainer.sweep.again` says what it puts back and which runs it does not follow.
"""

import contextlib
import fcntl
import multiprocessing as mp
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from trainer.errors import UserError
from trainer.files import parse_json
from trainer.runs.folder import read_summary
from trainer.runs.history import is_finite
from trainer.signals import begin_session, end_when_closed
from trainer.sweep import again
from trainer.sweep.status import State
from trainer.threads import let_cublas_repeat, threads_asked

_UNKNOWN = 255  # of a child whose server has died, for instance out of memory: the child may still be alive
_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM, _UNKNOWN)
_DIVERGED = 3
_SECONDS_TO_LEAVE = 20  # of an idle process, which may hold a GPU
_OF_ANOTHER_SWEEP = ("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID")  # where this runs in a W&B agent
THREADS = ("OMP_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS")
"""Environment variables of the threads of operations, and of torch.compile."""
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

    if count := threads_asked():
        torch.set_num_threads(count)  # torch was imported, and has read it, before this child had its own
    threads = os.environ.get("TORCHINDUCTOR_COMPILE_THREADS")
    if threads and "torch._inductor.config" in sys.modules:  # the same, where a server has imported it
        from torch._inductor import config

        config.compile_threads = int(threads)
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


class _Process:
    """A process that runs one job or, if it `stays`, one after the other. `exitcode` is that of the last job."""

    def __init__(self, target: Train, env: Mapping[str, str], *, stays: bool) -> None:
        self._same = (target, dict(env))
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_live, args=(theirs, target, dict(env), stays))
        self._code: int | None = None  # of a job that has ended while the process stays
        self._signalled = self._begun = False
        self._sinks: list[str] = []
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def exitcode(self) -> int | None:
        ended = self._process.exitcode
        with contextlib.suppress(EOFError, OSError):  # it has ended, and not stayed
            while self._pipe.poll():
                self._code = self._pipe.recv()
                self._begun = True
        return ended if self._code is None else self._code

    @property
    def was_lost(self) -> bool:
        """Return whether it had ended, by no signal from here, before it took its job."""
        return self.exitcode is not None and not self._begun and not self._signalled

    def begin(self, folder: Path, overrides: Sequence[str], log: Path) -> None:
        self._code, self._begun, self._sinks = None, False, _sinks(overrides)
        with contextlib.suppress(OSError):  # it has ended, as `exitcode` says
            self._pipe.send((folder, list(overrides), log))

    def takes(self, target: Train, overrides: Sequence[str], env: Mapping[str, str]) -> bool:
        """Return whether another run would begin here as in a process of its own."""
        alike = self._same == (target, env) and self._sinks == _sinks(overrides)  # W&B's client is set up once
        return alike and self._code is not None and not self._signalled and self._process.exitcode is None

    def signal(self, number: int) -> None:
        self._signalled = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def join(self) -> None:
        self._process.join()

    def dismiss(self) -> None:
        """End it, once it is idle."""
        self._pipe.close()
        self._process.join(_SECONDS_TO_LEAVE)
        if self._process.exitcode is None:
            self.signal(signal.SIGKILL)
            self.join()


class Child:
    """A process that trains one run. It first waits for an earlier process of this run, which may still be saving.

    If it `stays`, its process takes the run of a child made `after` it, where that may change nothing. Else that gets a
    process of its own. Dismiss the last one.
    """

    def __init__(
        self,
        folder: Path,
        overrides: Sequence[str],
        env: Mapping[str, str],
        *,
        target: Train = train,
        stays: bool = False,
        after: "Child | None" = None,
    ) -> None:
        self.folder = folder
        self._rows_read = 0  # bytes of metrics.jsonl
        self._log = _beside(folder, ".log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        own = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_SWEEP}
        self._job = target, list(overrides), {**own, **env}, stays
        if after and after._process.takes(*self._job[:3]):
            self._process, self._taken_over = after._process, True
            self._process.begin(folder, overrides, self._log)
        else:
            if after:
                after.dismiss()
            self._begin()

    def _begin(self) -> None:
        """Begin the run in a process of its own."""
        target, overrides, env, stays = self._job
        if CONTEXT.get_start_method() == "forkserver":
            ensure_server()
        self._process, self._taken_over = _Process(target, env, stays=stays), False
        self._process.begin(self.folder, overrides, self._log)

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it is running."""
        code = self._process.exitcode
        if self._taken_over and self._process.was_lost:  # while it waited for this run, as to a lack of memory
            self._begin()
            return None
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
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)
        self._process.join()

    def dismiss(self) -> None:
        """End the process of a run that has ended."""
        self._process.dismiss()

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


def _live(pipe: Connection, target: Train, env: dict[str, str], stays: bool) -> None:
    """Train in this process what the pipe brings: one run, or one after the other until it is closed."""
    parent = mp.parent_process()
    assert parent
    end_when_closed(parent.sentinel)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server ignores it
    begin_session()
    os.environ.clear()  # the server's environment, as it was when the server began
    os.environ.update(env)
    let_cublas_repeat()
    if stays:
        again.prepare()
    while True:
        try:
            folder, overrides, log = pipe.recv()
        except EOFError:
            return
        if stays:
            pipe.send(None)  # it is begun
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if not stays:
            return _run(target, folder, overrides)
        with again.restored():
            code = _ended_well(target, folder, overrides)
        again.forget()
        pipe.send(code)


def _ended_well(target: Train, folder: Path, overrides: list[str]) -> int:
    """Return the exit code of a run after which this process may stay. Any other end goes on to be that of it."""
    try:
        _run(target, folder, overrides)
        end = SystemExit(0)
    except SystemExit as raised:
        end = raised
    code = end.code or 0
    if code in (0, _DIVERGED) and isinstance(code, int) and again.leaves_nothing(folder):
        return code
    raise end


def _run(target: Train, folder: Path, overrides: list[str]) -> None:
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


def _sinks(overrides: Sequence[str]) -> list[str]:
    return [word for word in overrides if word.lstrip("-").startswith("sink")]


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
