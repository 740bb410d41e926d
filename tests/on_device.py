"""What `tests/gpu` share: where they run, what a run there is told, and runs of a few steps.

With TRAINER_GPU_TESTS_ON=cpu the same tests run on a CPU, which tries the tests and says nothing about a GPU.
"""

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.config import RunConfig, load_config
from trainer.config.explain import section_types
from trainer.data.sources import load_image_set
from trainer.protocols import Sink
from trainer.sweep.child import Child, train
from trainer.training.device import choose_compute
from trainer.training.loop import Loop
from trainer.training.network_arguments import complete_parts
from trainer.training.numerics import numerics
from trainer.training.recorded import source_of_steps
from trainer.training.run import build_parts

ON_CPU = os.environ.get("TRAINER_GPU_TESTS_ON") == "cpu"
NARROW = ["model.name=fastresnet9", "model.width=4", "model.ghost_size=8"]
DEFAULT = NARROW if ON_CPU else []
"""The network that a run has if nothing is said, or a narrow one on a CPU."""
_SECONDS = 540  # that a child may take


def only_on_cuda(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(ON_CPU, reason=reason)


def write_images(path: Path, *, train: int, test: int, size: int = 32) -> Path:
    """Write so many random images of ten classes as an `npz` data set. The classes differ in brightness."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 10
        levels = draw.integers(0, 166, (count, size, size, 3)) + 10 * labels[:, None, None, None]
        arrays |= {f"x_{split}": levels.astype(np.uint8), f"y_{split}": labels}
    np.savez(path, **arrays)
    return path


def choices_of(section: str) -> list[str]:
    """Return the names of a section's choices that need nothing else, such as those of all optimizers."""
    sections = section_types(RunConfig.model_fields[section].annotation)
    names = [each.model_fields["name"].default for each in sections]
    return [name for name in names if isinstance(name, str)]


def config_of(words: Sequence[str]) -> RunConfig:
    return load_config(list(words), complete=complete_parts).config


def loop_of(words: Sequence[str], sinks: Sequence[Sink] = ()) -> Loop:
    """Return a run without a folder, before its first step."""
    config = config_of(words)
    parts = build_parts(config, choose_compute(config.train), load_image_set(config.data, seed=config.seed))
    steps = source_of_steps(config, parts)
    return Loop(parts, sinks, keep=lambda *_: None, stop_requested=lambda: False, steps=steps)


@contextlib.contextmanager
def as_in_a_run(loop: Loop) -> Iterator[None]:
    """Compute with a run's kernels and formats, on its stream."""
    parts = loop.parts
    with numerics(parts.config, parts.model), parts.compute.stream():
        yield


def trained(words: Sequence[str], sinks: Sequence[Sink] = ()) -> Loop:
    """Return a run without a folder, after its last step."""
    loop = loop_of(words, sinks)
    with as_in_a_run(loop):
        outcome = loop.fit()
    assert outcome.status == "finished", outcome.message
    return loop


def assert_finite(loop: Loop) -> None:
    """Compare what a run has measured with infinity. `Loop.fit` has looked at its weights."""
    assert {"train/loss", "test/loss"} <= loop.counters.latest.keys()
    bad = {key: value for key, value in loop.counters.latest.items() if not math.isfinite(value)}
    assert not bad


def in_a_child(folder: Path, words: Sequence[str], *, broken_at: tuple[int, signal.Signals] | None = None) -> Child:
    """Start a process that trains into a folder, or resumes what is in it. It can get a signal at a step."""
    target = partial(_break_at, *broken_at) if broken_at else train
    return Child(folder, words, {"OMP_NUM_THREADS": "1"}, target=target)


def _break_at(step: int, number: signal.Signals, arguments: list[str]) -> None:
    train_batch = Loop.train_batch

    def break_off(loop: Loop, *batch: Any) -> None:
        train_batch(loop, *batch)
        if loop.counters.step == step:
            os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "train_batch", break_off)
        train(arguments)


def state_at_end(child: Child) -> str:
    """Wait for a child. Return its state, and what it said last if that is anything but its end."""
    end = time.monotonic() + _SECONDS
    while (ended := child.poll()) is None:
        if time.monotonic() > end:
            child.kill()
            return "timed out"
        time.sleep(0.05)
    state, _, message = ended
    return state if state in ("finished", "interrupted") else f"{state}: {message}"
