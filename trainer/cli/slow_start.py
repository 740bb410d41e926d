"""Loading PyTorch: sooner, and with a word where it takes long, as from a cold disk or right after pip installed it."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

_TOLD = "starting: loading PyTorch, which can take a minute the first time"
_CHECK_SECONDS = 0.5
PATIENCE_SECONDS = 5.0


@contextmanager
def slow_start_told(package: str = "torch") -> Iterator[None]:
    """Print a line on stderr if the code inside still imports `package` after PATIENCE_SECONDS."""
    if package in sys.modules:
        yield
        return
    over = threading.Event()
    threading.Thread(target=_watch, args=(over, package), daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def uncollected(package: str = "torch") -> Iterator[None]:
    """Collect no garbage while the code inside imports `package`, nor ever look through it: all of it stays."""
    if package in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _watch(over: threading.Event, package: str) -> None:
    if over.wait(PATIENCE_SECONDS):
        return
    while not (module := sys.modules.get(package)):
        if over.wait(_CHECK_SECONDS):
            return
    if getattr(module.__spec__, "_initializing", False):  # set by the import system until the import is over
        typer.echo(_TOLD, err=True)
