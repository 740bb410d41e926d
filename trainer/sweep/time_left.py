"""Time until the last run of a sweep has ended."""

from collections.abc import Sequence
from heapq import heapify, heapreplace


def seconds_left(each: float, running: Sequence[float], waiting: int, slots: int) -> float:
    """Return the seconds until all runs have ended, each of which takes `each`.

    `running` is what is left of those that run, as shares of a run. Each that waits begins in the slot that is free
    first.
    """
    free = [*running, *[0.0] * (max(1, slots) - len(running))]
    heapify(free)
    whole, rest = divmod(max(0, waiting), len(free))
    free = [end + whole for end in free]
    for _ in range(rest):
        heapreplace(free, free[0] + 1)
    return each * max(free)
