"""Node of a Ray cluster: an actor that holds a child, and an answer to which versions and folders a node has."""

import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.files import written_whole
from trainer.runs.provenance import NODE
from trainer.sweep.child import Child, Ended, Train, warm_up

Files = dict[str, bytes]
"""Content of each file of a folder, by its path in it."""


@dataclass(frozen=True)
class Job:
    """A run, as the driver describes it to a node."""

    id: str
    folder: str  # the driver's, whose absolute path means the same on a node that shares it
    place: str | None  # names the folder of the sweep on a node that does not share the driver's
    kept: Files  # of an earlier attempt, and `own`, the texts of own parts: for a node that shares nothing
    own: Files
    overrides: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    target: Train


@dataclass(frozen=True)
class Reply:
    """Answer of a node about its run."""

    rows: Sequence[dict[str, Any]]  # that the driver has not seen
    ended: Ended | None
    files: Files | None = None  # of a run that has ended, where its folder is not shared
    log: bytes = b""


class Worker:
    """A Ray actor that holds one child at a time. Every call may be repeated: an answer can be lost on its way."""

    def __init__(self, modules: Sequence[str]) -> None:
        warm_up(modules)
        self._job: Job | None = None
        self._child: Child | None = None
        self._rows: list[dict[str, Any]] = []

    def begin(self, job: Job) -> None:
        """Start a run, or go on with it from what is there."""
        if self._job and self._job.id == job.id:
            return
        self._job, self._rows = job, []
        folder = self._folder()
        if job.place and job.kept:  # what came home counts: what lies here may be older
            shutil.rmtree(folder, ignore_errors=True)
            write_files(folder, job.kept)
        if job.place:
            write_files(folder.parent / "own", job.own)
        with contextlib.suppress(OSError):  # relative paths, such as data.root, mean what they mean to the driver
            os.chdir(job.cwd)
        with _no_main_module():
            self._child = Child(folder, job.overrides, {**job.env, NODE: _this_node()}, target=job.target)

    def look(self, seen: int) -> Reply:
        """Return the rows after the first `seen`, and the end of the run if it has come."""
        assert self._job and self._child
        ended = self._child.poll()
        self._rows += self._child.new_rows()
        rows = self._rows[seen:]
        if ended is None or self._job.place is None:
            return Reply(rows, ended)
        folder = self._folder()
        log = folder.parent / ".children" / f"{folder.name}.log"
        return Reply(rows, ended, files_in(folder), log.read_bytes() if log.is_file() else b"")

    def stop(self) -> None:
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """Kill the child. It has a session of its own, which outlives an actor that Ray kills."""
        if self._child:
            self._child.kill()

    def clear(self) -> None:
        """Remove the files of a run that has come home."""
        if self._job and self._job.place:
            shutil.rmtree(self._folder(), ignore_errors=True)

    def _folder(self) -> Path:
        assert self._job
        there = Path(self._job.folder)
        if self._job.place is None:
            return there
        return Path(tempfile.gettempdir()) / f"cifar-sweeps-{self._job.place}" / there.name


def files_in(folder: Path) -> Files:
    """Return the regular files in a folder, without locks."""
    files: Files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix != ".lock":
            with contextlib.suppress(FileNotFoundError):  # W&B's own process may still tidy up
                files[str(path.relative_to(folder))] = path.read_bytes()
    return files


def write_files(folder: Path, files: Files) -> None:
    """Write files into a folder. Raises OSError."""
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / name) as file:
            file.write(body)


def asker() -> Callable[[str], dict[str, str]]:
    """Return a function that says what a machine runs, whether it sees a file, and its GPUs' memory.

    A function within a function travels as its code. So it also answers where no trainer is installed.
    """

    def ask(path: str) -> dict[str, str]:
        import hashlib
        import subprocess
        from contextlib import suppress
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec
        from pathlib import Path

        said: dict[str, str] = {}
        digest = hashlib.sha256()
        for package in ("trainer", "models"):
            spec = find_spec(package)
            for folder in (spec.submodule_search_locations or []) if spec else []:
                for file in sorted(file for file in Path(folder).rglob("*.py") if file.is_file()):
                    digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
        with suppress(PackageNotFoundError):
            said["trainer"] = f"{version('cifar-sweeps')} (code {digest.hexdigest()[:8]})"
        with suppress(PackageNotFoundError):
            said["torch"] = version("torch").partition("+")[0]  # +cpu and +cu130 are builds of one version
        if Path(path).is_file():
            said["sees the mark"] = "yes"
        query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):  # not torch: Ray shows this task no GPU
            shown = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
            said["GPU bytes"] = str(min(int(line) for line in shown.split()) * 2**20)
        return said

    return ask


def _this_node() -> str:
    """Return the node's name and the GPUs that Ray gave to this actor, for a run's provenance."""
    import ray

    gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return json.dumps({"name": platform.node(), "gpus": gpus})


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide the main module. A child would import it, and here it is Ray's, which takes a second."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
