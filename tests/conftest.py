"""What many tests share: a handful of images on disk, and the words of the smallest run on them."""

import contextlib
import fcntl
import gc
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

gc.disable()  # until all tests are collected: what they import stays, and to look through it takes a sixth of the time
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: networks this small only lose by a second thread

import kept  # noqa: F401 - for what it changes: the same things are made once
import numpy as np
import pytest
import unsynced  # noqa: F401 - for what it changes: no wait for the disk
from hypothesis import settings
from PIL import Image
from standin import Standin

from trainer.cli import slow_start
from trainer.threads import cores

slow_start.PATIENCE_SECONDS = 3600  # whichever test imports torch first prints what it prints elsewhere
settings.register_profile("shared machine", deadline=None, derandomize=True)  # a slow minute is no failure
settings.load_profile("shared machine")


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than cores: a third of the time tests wait, for children and for seconds to pass."""
    return cores() + 1


def pytest_collection_finish() -> None:
    """Collect garbage from here on, but never look through what was imported again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return `made_once(name, make)`: a folder that `make` fills once for all processes of a test run.

    The tests read it and write nothing there.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                made = shared / f"{name}.unfinished"
                shutil.rmtree(made, ignore_errors=True)
                made.mkdir()
                make(made)
                made.rename(folder)
        return folder

    return once


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `folder` data set: two classes, dark and bright, 8x8 pixels, 24 + 8 images each."""
    root = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 8)):
        for name, low in (("bright", 120), ("dark", 0)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = draw.integers(low, low + 136, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def small_run(image_folder: Path) -> list[str]:
    """Three epochs of six steps of a tiny FastResNet9; under a second once torch is loaded."""
    return [
        "data.name=folder",
        f"data.root={image_folder}",
        "data.image_size=8",
        "model.name=fastresnet9",
        "model.width=2",
        "model.ghost_size=4",
        "train.epochs=3",
        "train.batch_size=8",
        "train.device=cpu",
        "augment.crop.padding=1",
        "sink.wandb.mode=disabled",
    ]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """W&B's stand-in, and an environment that knows no other server and nothing of the user's."""
    for name in os.environ:
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    for name in ("WANDB_ERROR_REPORTING", "WANDB_PROJECT", "WANDB_ENTITY"):  # what the client sets is taken back
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with Standin() as server:
        for name, value in server.env(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield server
        _end_client()


def _end_client() -> None:
    """End W&B's client. Its service can miss that after a request that was cancelled, and would be waited for forever.

    Seen once in six whole runs with wandb 0.31, after a server that was down: the service closed the connection first.
    """
    import wandb  # not at the top: most tests do without it
    from wandb.sdk import wandb_setup

    connection = wandb_setup.singleton()._connection
    service = connection._proc if connection else None
    watch = threading.Timer(20, service._process.kill if service else lambda: None)
    watch.start()
    with contextlib.suppress(SystemExit):  # with the exit code of a service that was killed
        wandb.teardown()
    watch.cancel()
