"""The next epoch's draws, made in a thread while this epoch trains.

They depend on (seed, epoch) alone, so it does not matter who makes them, or when. A GPU would stand still meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor


class Draws(Protocol):
    @property
    def sent(self) -> Sequence[Tensor]:
        """All that was sent to a GPU."""
        ...


T = TypeVar("T", bound=Draws)


class Ahead(Generic[T]):
    """The draws of at most one epoch, made ahead."""

    def __init__(self, device: torch.device) -> None:
        """They are on `device`."""
        self._device = device
        # A stream of its own: its copies wait for no training step.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._made: tuple[int, Future[tuple[T, torch.cuda.Event | None]]] | None = None
        self._taken: tuple[int, T] | None = None  # the last ones, since SWA passes over an epoch before it is trained

    def take(self, epoch: int) -> T | None:
        """Return the draws if they are of this epoch, or the last ones again. Raises whatever their thread raised."""
        if self._taken and self._taken[0] == epoch:
            return self._taken[1]
        made, self._made = self._made, None
        if made is None or made[0] != epoch:
            return None
        draws, copied = made[1].result()
        self._taken = epoch, draws
        if copied:
            here = torch.cuda.current_stream(self._device)
            here.wait_event(copied)
            for values in draws.sent:
                values.record_stream(here)  # else their memory could be reused before the last batch has read it
        return draws

    @contextmanager
    def drawing(self, epoch: int, draw: Callable[[int], T]) -> Iterator[None]:
        """Call `draw(epoch)` in a thread beside the block. At its end the thread has ended."""
        if self._made and self._made[0] == epoch:
            yield
            return
        with ThreadPoolExecutor(1, thread_name_prefix="draws") as pool:
            self._made = epoch, pool.submit(self._drawn, epoch, draw)
            yield

    def _drawn(self, epoch: int, draw: Callable[[int], T]) -> tuple[T, torch.cuda.Event | None]:
        if not self._stream:
            return draw(epoch), None
        torch.cuda.set_device(self._stream.device)  # else this thread would take memory on the first GPU
        with torch.cuda.stream(self._stream):
            draws = draw(epoch)
        copied = torch.cuda.Event()
        copied.record(self._stream)
        return draws, copied
