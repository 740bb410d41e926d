"""What a sweep's children are forked from, and what a sweep makes of the files of a child that has ended."""

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pretend import server
from torch._inductor import config

from trainer.data.shared import FOLDER
from trainer.sweep import local
from trainer.sweep.child import THREADS, Child, train
from trainer.sweep.file import read_sweep
from trainer.sweep.warm import MODULES

_LOOK = """
import sys, threading, torch
asked = []
def note(name):
    return lambda *_: asked.append(name) or 0
for name in ("_cuda_getDeviceCount", "_cuda_init"):
    setattr(torch._C, name, note(name))  # also where torch has no CUDA, so that it looks as if it had
import trainer.sweep.warm
print(threading.active_count(), *sys.modules)
print(*asked)
"""


@pytest.fixture(scope="module")
def seen_in_the_server() -> list[list[str]]:
    """What is seen in a process of its own, since this one has long imported all of it: words by line."""
    said = subprocess.run([sys.executable, "-c", _LOOK], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in said.splitlines()]


def test_the_server_has_imported_what_every_run_needs_and_runs_no_thread(seen_in_the_server: list[list[str]]) -> None:
    threads, *modules = seen_in_the_server[0]
    assert threads == "1"
    assert {"torch", "timm", "wandb", *MODULES} <= set(modules)


def test_the_server_asks_cuda_for_nothing(seen_in_the_server: list[list[str]]) -> None:
    """A process that has counted the devices has begun to use CUDA, which no fork of it can then do."""
    assert seen_in_the_server[1] == []


def test_a_child_compiles_with_as_many_threads_as_its_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has imported what reads that once."""
    begun: list[list[str]] = []
    monkeypatch.setattr(config, "compile_threads", 7)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(runpy, "run_module", lambda *_, **__: begun.append(sys.argv))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("TORCHINDUCTOR_COMPILE_THREADS", raising=False)
    train(["a"])
    assert (config.compile_threads, begun) == (7, [["trainer", "train", "a"]])
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "3")
    train(["a"])
    assert config.compile_threads == 3


def _say_workspace(arguments: list[str]) -> None:
    (said,) = (word.removeprefix("said=") for word in arguments if word.startswith("said="))
    Path(said).write_text(os.environ.get("CUBLAS_WORKSPACE_CONFIG", "none"))


@pytest.mark.parametrize("given", [{}, {"CUBLAS_WORKSPACE_CONFIG": ":16:8"}])
def test_cublas_has_its_workspace_in_a_child(tmp_path: Path, given: dict[str, str]) -> None:
    """Before: a child took on its parent's environment after the module that sets it had been imported."""
    server.ready()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        child = Child(tmp_path / "run", [f"said={tmp_path}/said"], given, target=_say_workspace)
        while child.poll() is None:
            time.sleep(0.01)
    assert (tmp_path / "said").read_text() == given.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.mark.parametrize(("jobs", "threads"), [(1, None), (3, "2"), (50, "1")])
def test_children_at_once_share_the_cores(monkeypatch: pytest.MonkeyPatch, jobs: int, threads: str | None) -> None:
    monkeypatch.setattr(local, "cores", lambda: 8)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    sweep = read_sweep(Path("sweeps/lr_scheduler.yaml"))
    assert [local.env_of(sweep, jobs).get(name) for name in THREADS] == [threads, threads]
    monkeypatch.setenv(THREADS[1], "5")  # the user's own, which children inherit
    assert THREADS[1] not in local.env_of(sweep, jobs)


@pytest.mark.parametrize(
    ("jobs", "devices", "shared"), [(2, "auto", True), (2, "cpu", True), (1, "cpu", False), (2, "cuda:0", False)]
)
def test_children_at_once_on_a_cpu_share_their_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, devices: str, *, shared: bool
) -> None:
    folders: list[str | None] = []

    class Seen:
        def __init__(self, *_: object, env: dict[str, str], **__: object) -> None:
            folders.append(env.get(FOLDER))

        def run(self, *, retry: bool) -> tuple[None, None]:
            assert all(Path(folder).is_dir() for folder in folders if folder)
            return None, None

    monkeypatch.setattr(local, "Engine", Seen)
    sweep = local.open_sweep(Path("sweeps/smoke.yaml"), runs=tmp_path)
    sweep.run(devices=[devices], jobs=jobs, watch=lambda _: None)
    assert [bool(folder) for folder in folders] == [shared]
    assert not any(Path(folder).exists() for folder in folders if folder)


def ended(folder: Path) -> Child:
    """A child whose process has ended with exit code 0."""
    child = object.__new__(Child)
    child.__dict__ |= {
        "folder": folder,
        "_rows_read": 0,
        "_taken_over": False,
        "_process": SimpleNamespace(exitcode=0),
        "_log": folder / "log",
    }
    return child


def test_a_damaged_row_does_not_end_a_sweep(tmp_path: Path) -> None:
    bad = (b"\x00" * 9, b"\xff", b"{", b"[]", b"{}", b'{"epoch": "1"}', b"[" * 200_000)
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([b'{"epoch": 1}', *bad, b'{"epoch": 2}', b'{"epoch": 3']))
    assert [*ended(tmp_path).new_rows()] == [{"epoch": 1}, {"epoch": 2}]


def test_a_summary_that_is_none_fails_its_run_and_not_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("[]")
    assert ended(tmp_path).poll() == ("crashed", {}, f"{tmp_path}/summary.json: expected a JSON object")
