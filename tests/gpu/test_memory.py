"""A long run takes no more of the device's memory than a short one."""

import gc
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from on_device import NARROW, only_on_cuda, trained

from trainer.protocols import Record

pytestmark = pytest.mark.gpu


class Weighed:
    """A sink that notes how many bytes of the device are allocated at the end of each epoch."""

    name = "weighed"

    def __init__(self) -> None:
        self.allocated: list[int] = []

    def log(self, record: Record) -> None:
        self.allocated.append(torch.cuda.memory_allocated())

    def progress(self, progress: Any) -> None: ...
    def start(self, run: Any) -> None: ...
    def memory(self) -> Mapping[str, Any]:
        return {}

    def finish(self, status: Any, summary: Any) -> None: ...


@only_on_cuda("counts what a GPU's allocator has given out")
def test_two_hundred_short_epochs_leave_the_memory_flat(device_run: list[str]) -> None:
    gc.collect()  # so that what other tests have left is not freed on the way
    weighed = Weighed()
    more = ["data.train_size=80", "train.batch_size=20", "train.epochs=200", "train.ema.decay=0.9"]
    trained([*device_run, *NARROW, *more, "augment.erasing.name=cutout"], [weighed])
    assert len(weighed.allocated) == 200
    assert max(weighed.allocated[100:]) <= max(weighed.allocated[1:20])
