"""Clean-up of a child between two runs, so that the next one begins as it would in a process of its own."""

import contextlib
import ctypes
import gc
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import UserError


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Run code, then put back what a process has once: streams, arguments, hooks, warnings, environment."""
    streams, arguments = (sys.stdout, sys.stderr), sys.argv
    hooks, environment = (sys.excepthook, sys.exit, threading.excepthook), dict(os.environ)
    try:
        with warnings.catch_warnings():  # what was said once is said again
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        (sys.stdout, sys.stderr), sys.argv = streams, arguments
        sys.excepthook, sys.exit, threading.excepthook = hooks
        os.environ.clear()
        os.environ.update(environment)


def prepare() -> None:
    """Let the data set stay for a next run of the same `data` section, and never look for garbage in what is here."""
    gc.freeze()
    if "torch" in sys.modules:  # else this process trains nothing
        from trainer.data.sources import keep_last

        keep_last()


def leaves_nothing(folder: Path) -> bool:
    """Return whether the run in `folder`, which has ended, leaves nothing in this process that could change another.

    Code of the user's and of trackio may. torch.compile counts what it has compiled, and other ranks are processes.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return False
    if "torch" not in sys.modules:  # nothing was trained
        return True
    from trainer.own.parts import sources_of
    from trainer.runs.folder import read_config

    try:
        config = read_config(folder)
        own = sources_of(config)
    except UserError:
        return False
    return not (own or config.train.compile or config.train.devices > 1 or config.sink.trackio.mode != "disabled")


def forget() -> None:
    """Give the memory of the last run back, and count the peak anew."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_initialized():
            torch._C._cuda_clearCublasWorkspaces()  # pyright: ignore[reportPrivateUsage] - there is no other way
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5")  # the peak of this process is what it has now
