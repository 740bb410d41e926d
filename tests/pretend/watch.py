"""What tests of sweeps do from outside: write a sweep file, start a controller, look who runs and what has ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pretend.controller import TESTS

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


@contextmanager
def controller(path: Path, runs: Path, *, jobs: int = 1, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A controller of its own process; what it says on stderr is in RUNS/controller.log."""
    runs.mkdir(exist_ok=True)
    whole = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", **env}
    with (runs / "controller.log").open("ab") as log:
        command = [sys.executable, "-m", "pretend.controller", str(path), str(runs), str(jobs)]
        process = subprocess.Popen(command, env=whole, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def children_of(sweep: Path) -> list[int]:
    """Ids of the processes that train a run of a sweep's folder: they hold its lock."""
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _holds_a_lock(process, sweep)]


def _holds_a_lock(process: Path, sweep: Path) -> bool:
    try:
        held = [str(handle.readlink()) for handle in (process / "fd").iterdir()]
    except OSError:  # it has ended
        return False
    return any(path.startswith(f"{sweep}/.children/") and path.endswith(".lock") for path in held)
