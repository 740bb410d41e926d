"""One point as a process of its own: `trainer train` into its run folder, begun or gone on with."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from trainer.signals import LEASH
from trainer.sweep.status import State

TRAIN = (sys.executable, "-m", "trainer.cli", "train")
_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
_DIVERGED = 3
_OF_ANOTHER_SWEEP = ("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID")  # where this runs in a W&B agent


class Child:
    """Starts as soon as no other process trains into the folder: that of a killed controller may still be saving.

    A lock that the process inherits says so; it is gone when the process is, however that ends.
    """

    def __init__(self, folder: Path, words: Sequence[str], env: Mapping[str, str]) -> None:
        self.folder = folder
        self._words = words
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._rows_read = 0  # bytes of metrics.jsonl
        self._lock: IO[bytes] = self._beside(".lock").open("wb")

    def poll(self) -> tuple[State, dict[str, Any], str] | None:
        """(how it ended, its summary, why it failed), or None while it is under way. Starts it when it can."""
        if self._process is None:
            if not self._locked():
                return None
            if (summary := self._summary()).get("status") == "finished":  # killed before anybody could write it down
                self._lock.close()
                return "finished", summary, ""
            self._start()
            return None
        code = self._process.poll()
        if code is None:
            return None
        assert self._process.stdin
        self._process.stdin.close()
        state, summary = self._state(code), self._summary()
        return state, summary, "" if state == "finished" else self._last_line(code)

    def new_rows(self) -> Iterator[dict[str, Any]]:
        """What was logged since the last look."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "metrics.jsonl").open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._rows_read:
                self._rows_read = 0  # cut back by a resume; a row is the same when it is written again
            file.seek(self._rows_read)
            for line in file:
                if line.endswith(b"\n"):
                    self._rows_read += len(line)
                    yield json.loads(line)

    def stop(self) -> None:
        """Ask it to finish the step, save and end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._lock.close()

    @property
    def started(self) -> bool:
        return self._process is not None

    def _start(self) -> None:
        begun = (self.folder / "config.yaml").is_file()
        if not begun:
            shutil.rmtree(self.folder, ignore_errors=True)  # killed before it began
        whole = [*self._words, "--runs", str(self.folder.parent), "--name", self.folder.name]
        arguments = ["--resume", str(self.folder)] if begun else whole
        with self._beside(".log").open("ab") as log:
            self._process = subprocess.Popen(
                [*TRAIN, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**_without(os.environ, _OF_ANOTHER_SWEEP), **self._env, LEASH: "1"},
                pass_fds=[self._lock.fileno()],
                start_new_session=True,  # a Ctrl-C in the terminal is the controller's, who asks once
            )
        self._lock.close()

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _state(self, code: int) -> State:
        status = self._summary().get("status")
        if status == "finished":
            return "finished"
        if code < 0 or code in _INTERRUPTED:
            return "interrupted"
        if code == 0 and status == "stopped":
            return "stopped"
        return "diverged" if code == _DIVERGED else "crashed"

    def _summary(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return {}

    def _last_line(self, code: int) -> str:
        """Of its log, where an error says what it was."""
        with contextlib.suppress(OSError):
            lines = self._beside(".log").read_text(encoding="utf-8", errors="replace").splitlines()
            said = [line for line in lines[-20:] if line.strip()]
            errors = [line for line in said if "rror: " in line or line.startswith("diverged:")]
            if said and code >= 0:
                return (errors or said)[-1].strip()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def _beside(self, suffix: str) -> Path:
        """Of the sweep's own files about this run: outside of the run's folder, which may be begun anew."""
        folder = self.folder.parent / ".children"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.folder.name}{suffix}"


def _without(env: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in names}
