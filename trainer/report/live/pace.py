"""Bounds on the processor time of a server, because nice alone does not keep a training at its speed."""

import time
from collections.abc import Callable

REQUESTS = 0.0025
"""Share of all cores that answers to requests may take."""
PAGES = 0.01
"""Share of all cores that making pages may take."""
_BURST = 0.5  # seconds of processor time that are saved up: some hundred answers
_LONGEST = 0.25  # seconds of one wait, so that the server ends soon when it is asked to


class Pace:
    """Keeps a thread below a share of one core, above a burst."""

    def __init__(
        self,
        share: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._share = share
        self._clock = clock
        self._used = used
        self._sleep = sleep
        self._credit = _BURST
        self._then = clock(), used()

    def wait(self) -> None:
        """Sleep as long as this thread has used more than its share."""
        before, spent = self._then
        self._then = self._clock(), self._used()
        self._credit += (self._then[0] - before) * self._share - (self._then[1] - spent)
        self._credit = min(self._credit, _BURST)
        if self._credit < 0:
            self._sleep(min(-self._credit / self._share, _LONGEST))
