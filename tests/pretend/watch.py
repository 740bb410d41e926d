"""What tests of sweeps do from outside: write a sweep file, start a controller, look who runs and what has ended."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pretend import server
from pretend.controller import main
from trainer.sweep.child import CONTEXT

GRID = {"optimizer.lr": {"values": [0.1, 0.01, 0.001]}, "seed": {"values": [0, 1]}}


def write_sweep(folder: Path, parameters: dict[str, Any] | None = None, **more: Any) -> Path:
    path = folder / "s.yaml"
    metric = {"name": "test/accuracy", "goal": "maximize"}
    content = {"method": "grid", "metric": metric, "parameters": parameters or GRID, "project": "p", **more}
    path.write_text(yaml.safe_dump(content))
    return path


def noted(runs: Path, name: str = "finished.log") -> list[str]:
    path = runs / "s" / name
    return path.read_text().split() if path.exists() else []


class Controller:
    """A controller of its own process, forked where Optuna is imported; its stderr is RUNS/controller.log."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        server.ready()
        self._process = CONTEXT.Process(target=_control, args=(arguments, {**os.environ, **env}, log))
        self._process.start()

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid or 0, number)

    def kill(self) -> None:
        self._process.kill()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float = 180) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, "timed out"
        return self._process.exitcode


def _control(arguments: list[str], env: Mapping[str, str], log: Path) -> None:
    """Control as a command would that a person has typed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores both
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    main(arguments)


@contextmanager
def controller(path: Path, runs: Path, *, jobs: int = 1, **env: str) -> Iterator[Controller]:
    runs.mkdir(exist_ok=True)
    process = Controller([str(path), str(runs), str(jobs)], env, runs / "controller.log")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def children_of(sweep: Path) -> list[int]:
    """Ids of the processes that train a run of a sweep's folder: they hold its lock."""
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _holds_a_lock(process, sweep)]


def _holds_a_lock(process: Path, sweep: Path) -> bool:
    try:
        held = [str(handle.readlink()) for handle in (process / "fd").iterdir()]
    except OSError:  # it has ended
        return False
    return any(path.startswith(f"{sweep}/.children/") and path.endswith(".lock") for path in held)
