"""A polite end: the first SIGTERM or Ctrl-C is a request that the loop reads between steps."""

import os
import signal
import threading
import time
from types import FrameType

LEASH = "TRAINER_LEASH"
"""In the environment of a sweep's child: its stdin is a pipe that closes when the sweep's controller is gone."""
_SECONDS_TO_SAVE = 60


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


def end_with_controller() -> None:
    """In a sweep's child: stop as on SIGTERM when the controller dies, even by SIGKILL, so that no training is
    orphaned. A pipe tells it on every system, and at once; Linux's parent-death signal would not reach macOS."""
    if os.environ.pop(LEASH, None):
        threading.Thread(target=_wait_for_end_of_stdin, daemon=True).start()


def _wait_for_end_of_stdin() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_SAVE)
    os.kill(os.getpid(), signal.SIGKILL)
