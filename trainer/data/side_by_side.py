"""Several batches made side by side, each by one core.

An operation on the pixels of a small batch takes as long on two cores as on one, since its threads must start and wait
for each other (docs/lab-notes.md, 2026-11-30). Two batches side by side need no waiting.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]
"""Images and targets."""


def side_by_side(make: Callable[[int], Batch], numbers: Sequence[int]) -> Iterator[Batch]:
    """Yield `make(number)` of each number, in order. As many are made at once as one operation has threads.

    `make` is called in other threads, in each of which an operation has one thread.
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        for first in range(0, len(numbers), threads):
            try:
                made = list(pool.map(make, numbers[first : first + threads]))
            finally:
                torch.set_num_threads(threads)  # a part of the setting, such as MKL's, is one for all threads
            yield from made
