"""Training time that the probes cost, measured in turn with bare steps of the same network in one process."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from statistics import median

import pytest
import torch

from trainer.config import load_config
from trainer.data.sources import load_image_set
from trainer.training.device import choose_compute, keep_freed_memory
from trainer.training.loop import Loop
from trainer.training.run import build_parts

BATCH, EVERY, PAIRS = 128, 30, 5
Timed = Callable[[Sequence[str]], float]


@pytest.fixture
def step_seconds() -> Timed:
    """Return a function that times one step of VGG-A with BatchNorm and these probes, as `trainer train` makes it."""
    torch.set_num_threads(os.cpu_count() or 1)  # the suite's other tests run on one
    overrides = ["model.name=vgg_a_bn", "data.name=shapes10", f"train.batch_size={BATCH}", "sink.wandb.mode=disabled",
             "probe.drift.every=1", "probe.walk.every=1"]  # fmt: skip
    config = load_config(overrides).config
    compute = choose_compute(config.train)
    keep_freed_memory(compute.device)
    parts = build_parts(config, compute, load_image_set(config.data, seed=0))
    loop = Loop(parts, [], keep=lambda *_: None, stop_requested=lambda: False)
    loop.parts.model.train()
    batches = parts.batches.epoch(0)
    known = {probe.name: probe for probe in parts.probes}

    def timed(probes: Sequence[str]) -> float:
        loop.parts = dataclasses.replace(parts, probes=[known[name] for name in probes])
        compute.synchronize()
        start = time.perf_counter()
        loop.train_batch(*next(batches))
        compute.synchronize()
        return time.perf_counter() - start

    return timed


def overheads(step_seconds: Timed, probe: str) -> list[float]:
    """Return the extra time of a step with the probe, as a share of one without, for each pair, ascending."""
    for probes in ([], [probe]):
        step_seconds(probes)
    pairs = [(step_seconds([]), step_seconds([probe])) for _ in range(PAIRS)]
    shares = sorted(probed / bare - 1 for bare, probed in pairs)
    bare = median(bare for bare, _ in pairs)
    print(f"{probe}: of a step median {median(shares):.3f}, {shares[0]:.3f} to {shares[-1]:.3f}, n = {PAIRS}; "
          f"a bare step of {BATCH} images {bare:.3f} s")  # fmt: skip
    return shares


@pytest.mark.slow
def test_drift_at_every_step_costs_less_than_a_twentieth_of_training(step_seconds: Timed) -> None:
    assert median(overheads(step_seconds, "drift")) < 0.05


@pytest.mark.slow
def test_a_walk_of_eight_points_every_thirty_steps_costs_less_than_three_tenths_of_training(
    step_seconds: Timed,
) -> None:
    assert median(overheads(step_seconds, "walk")) / EVERY < 0.3
