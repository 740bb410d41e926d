"""A polite end: the first SIGTERM or Ctrl-C is a request that the loop reads between steps."""

import os
import signal
import threading
import time
from multiprocessing import connection
from types import FrameType

LEASH = "TRAINER_LEASH"
"""In the environment: stdin is a pipe whose other end is held by what started this, and closes with it."""
SECONDS_TO_SAVE = 60
"""Time that a run has between a request to stop and its kill: it finishes its step and writes its checkpoint."""


class StopRequest:
    """While entered, notes SIGTERM and Ctrl-C instead of dying of them; a second Ctrl-C breaks off at once."""

    def __init__(self) -> None:
        self.signal: int | None = None  # what asked to stop

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self.signal is not None

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


def end_when_closed(handle: int) -> None:
    """Stop as on SIGTERM when the other end of a pipe is closed: whoever started this has died, even by SIGKILL, and no
    training is to be orphaned. A pipe tells it at once, and on every system."""
    threading.Thread(target=_wait_for_end, args=(handle,), daemon=True).start()


def _wait_for_end(handle: int) -> None:
    connection.wait([handle])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_SAVE)
    os.kill(os.getpid(), signal.SIGKILL)
