"""A clean stop: the first SIGTERM or Ctrl-C is a request that the loop checks between steps. Sessions of children."""

import os
import signal
import sys
import threading
import time
from multiprocessing import connection
from pathlib import Path
from types import FrameType

LEASH = "TRAINER_LEASH"
"""Environment variable. If it is set, stdin is a pipe that closes when the parent process ends."""
SECONDS_TO_SAVE = 60
"""Seconds between a request to stop and a kill, in which a run finishes its step and writes its checkpoint."""


class StopRequest:
    """A context that records SIGTERM and Ctrl-C instead of ending the process. A second Ctrl-C ends it at once.

    Without `ctrl_c`, what a Ctrl-C does stays as it is.
    """

    def __init__(self, *, ctrl_c: bool = True) -> None:
        self._noted = (signal.SIGTERM, signal.SIGINT) if ctrl_c else (signal.SIGTERM,)
        self.signal: int | None = None  # the one that asked to stop

    def __call__(self) -> bool:
        """Return whether a stop was requested."""
        return self.signal is not None

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in self._noted}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


def end_when_closed(handle: int) -> None:
    """Stop as on SIGTERM when the other end of a pipe closes, because the parent process has ended, even by SIGKILL.

    No training runs on without its parent. A pipe shows this at once, on every system.
    """
    threading.Thread(target=_wait_for_end, args=(handle,), daemon=True).start()


def end_with_parent() -> None:
    """Stop as on SIGTERM when the parent process ends. Only Linux can wait for it; elsewhere this does nothing."""
    if sys.platform == "linux":
        end_when_closed(os.pidfd_open(os.getppid()))


def _wait_for_end(handle: int) -> None:
    connection.wait([handle])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_SAVE)
    os.kill(os.getpid(), signal.SIGKILL)


def begin_session() -> None:
    """Leave the terminal's session with this process: a Ctrl-C there reaches the controller only, which asks once.

    The session is as nice as the process. Linux shares the processor among sessions first, by a niceness of each, which
    begins at 0. So `nice trainer sweep run` would give way to nothing.
    """
    os.setsid()
    if not (niceness := os.nice(0)):
        return
    for _ in range(50):
        try:
            Path("/proc/self/autogroup").write_text(str(niceness))
        except BlockingIOError:  # Linux takes one a tenth of a second from all users but root
            time.sleep(0.1)
        except OSError:  # no Linux, or without such groups
            return
        else:
            return
