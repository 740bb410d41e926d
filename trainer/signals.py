"""A polite end: the first SIGTERM or Ctrl-C is a request that the loop reads between steps."""

import signal
from types import FrameType


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
