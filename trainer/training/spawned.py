"""Processes that rank 0 of a run starts on its machine, and where they meet."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any

from trainer.signals import SECONDS_TO_SAVE

_LONGEST_START = timedelta(minutes=30)  # of a rank: another one may download and decode the images first
_HERE = "127.0.0.1"
HelpOut = Callable[[int, "Meeting"], None]
"""The work of a process that rank 0 starts: (its number among those, from 0; where it meets the others)."""


@dataclass(frozen=True)
class Meeting:
    """A place on this machine where ranks find each other."""

    size: int
    port: int
    threads: int  # of each rank


def there(rank: int) -> str:
    """Return the key under which a rank says that it has started."""
    return f"trainer/{rank}"


def open_store(size: int, *, at: int | None = None) -> Any:
    """Return a store in which ranks of this machine find each other: that of a port, or a new one."""
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

    return TCPStore(_HERE, at or 0, size, is_master=at is None, timeout=_LONGEST_START, wait_for_workers=False)


def start(help_out: HelpOut, meeting: Meeting) -> Any:
    """Start the other processes, and return torch's context of them."""
    from torch.multiprocessing.spawn import start_processes

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # is inherited: a Ctrl-C is for rank 0
    try:
        return start_processes(
            help_out, (meeting,), nprocs=meeting.size - 1, join=False, daemon=True, start_method="spawn"
        )
    finally:
        signal.signal(signal.SIGINT, before)


def end_after_others(processes: Sequence[BaseProcess], over: threading.Event) -> None:
    """Kill this process if it goes on for a minute after another one failed, because it waits for that one on a GPU.

    One that ends with 0 has trained to the end.
    """
    while not over.wait(1):
        if any(process.exitcode for process in processes) and not over.wait(SECONDS_TO_SAVE):
            os.kill(os.getpid(), signal.SIGKILL)
