"""A sink of the real client as its tests use it: what it is told and what the stand-in then has."""

import time
from typing import Any

from standin.server import Standin
from trainer.config.sink import WandbSink as Config
from trainer.protocols import Record
from trainer.sinks.wandb import WandbSink

CONFIG = {
    "seed": 3,
    "model": {"name": "fastresnet9", "stem": [3, 3, 3]},
    "optimizer": {"lr": 0.4, "nesterov": True},
    "train": {"max_steps": None},
}
SUMMARY = {"test/accuracy": 0.5, "test/accuracy_best": 0.75, "time/train_seconds": 1.5, "model/parameters": 1000}


def sink(**config: Any) -> WandbSink:
    return WandbSink(Config(**{"init_timeout": 20, "finish_timeout": 20, **config}))


def log_epochs(sink: WandbSink, epochs: range) -> float:
    """Log a row per epoch. Return the longest time that one took."""
    seconds: list[float] = []
    for epoch in epochs:
        start = time.perf_counter()
        sink.log(Record(epoch, 10 * epoch, {"test/accuracy": epoch / 100}))
        seconds.append(time.perf_counter() - start)
    return max(seconds)


def epochs_of(server: Standin) -> list[int]:
    return [row["epoch"] for row in server.only_run.history]
