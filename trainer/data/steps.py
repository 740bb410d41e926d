"""The optimizer steps of a run: how many an epoch has, and which epoch a step is in."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from trainer.config.train import BatchSchedule


@dataclass(frozen=True)
class Steps:
    """One step for each batch of `batch_size` images, or of the size that a schedule gives an epoch."""

    images: int  # of an epoch
    batch_size: int
    drop_last: bool = False  # leave out a smaller last batch
    schedule: BatchSchedule = field(default_factory=BatchSchedule)

    def size(self, epoch: int) -> int:
        """Return the images of a batch in an epoch, from 0. The last batch may have fewer."""
        past = bisect_right(self.schedule.from_epochs, epoch)
        return min(self.schedule.sizes[past - 1] if past else self.batch_size, self.images)

    def in_epoch(self, epoch: int) -> int:
        whole, rest = divmod(self.images, self.size(epoch))
        return whole + (rest > 0 and not self.drop_last)

    def images_in(self, epoch: int) -> int:
        """Return how many images the steps of an epoch see."""
        return min(self.in_epoch(epoch) * self.size(epoch), self.images)

    def sizes(self, steps: int, changes: Iterable[int] = ()) -> Iterator[tuple[int, int]]:
        """Yield (epoch, images) of the first batch of each size among the first `steps` batches, in their order.

        They are the first from epoch 0, from each change of the schedule, and from each epoch in `changes`.
        """
        for epoch in sorted({0, *self.schedule.from_epochs, *changes}):
            if self._before(epoch) < steps:
                size = self.size(epoch)
                yield epoch, size
                if (rest := self.images % size) and not self.drop_last and self._before(epoch + 1) <= steps:
                    yield epoch, rest

    def of(self, epochs: float, *, most: int | None = None) -> int:
        """Return the steps of so many epochs, the last of which may be cut off, but not more than `most`."""
        # An exact fraction: 1.1 * 10 is 11.000000000000002, which would be 12 steps.
        exact = Fraction(epochs).limit_denominator(10**9)
        whole = math.floor(exact)
        steps = self._before(whole) + math.ceil((exact - whole) * self.in_epoch(whole))
        return min(steps, most or steps)

    def seen(self, epochs: float, *, max_steps: int | None, swa_epochs: int) -> int:
        """Return how many batches a run trains on, and computes the norms of averaged weights on."""
        trained = self.of(epochs, most=max_steps)
        end = self.epochs_at(trained)
        averages = math.ceil(epochs) - math.ceil(end) < swa_epochs
        return self.of(math.floor(end) + 1) if averages else trained  # norms see the epoch that the last step leads to

    def epochs_at(self, step: int) -> Fraction:
        """Return the epochs that are over when `step` steps are."""
        part = bisect_right(self._first_steps, step) - 1
        epoch = (0, *self.schedule.from_epochs)[part]
        return epoch + Fraction(step - self._first_steps[part], self.in_epoch(epoch))

    def _before(self, epoch: int) -> int:
        part = bisect_right(self.schedule.from_epochs, epoch)
        begun = (0, *self.schedule.from_epochs)[part]
        return self._first_steps[part] + (epoch - begun) * self.in_epoch(begun)

    @cached_property
    def _first_steps(self) -> list[int]:
        """The first step of each part of the schedule."""
        begins, steps = (0, *self.schedule.from_epochs), [0]
        for begin, end in pairwise(begins):
            steps.append(steps[-1] + (end - begin) * self.in_epoch(begin))
        return steps
