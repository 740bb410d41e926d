"""A step does not wait for the device: `Loop.train_batch` says that only every twentieth one does."""

import pytest
import torch
from on_device import NARROW, as_in_a_run, loop_of, only_on_cuda

pytestmark = pytest.mark.gpu

JITTER = [f"augment.color_jitter.{name}=0.2" for name in ("brightness", "contrast", "saturation", "hue")]
RUNS = {
    "the defaults": ["model.name=resnet18"],
    "ghost norms, EMA, lookahead": [*NARROW, "train.ema.decay=0.9", "optimizer.lookahead.steps=5"],
    "Muon": [*NARROW, "optimizer.name=muon", "optimizer.format=bfloat16"],
    "Adam, clipped, in parts": [*NARROW, "optimizer.name=adam", "train.clip_grad_norm=1", "train.accumulate=2"],
    "penalties, dropout": ["model.name=handmade_cnn", "model.dropout=0.3", "loss.l1=1e-4", "loss.name=focal"],
    "jitter, erasing, cutmix": [*NARROW, *JITTER, "augment.erasing.name=cutout", "augment.mix.name=cutmix"],
    "operations, mixup": [*NARROW, "augment.auto.name=trivial_augment_wide", "augment.mix.name=mixup"],
    "a probe inside the clock": [*NARROW, "probe.drift.every=1"],
}


@only_on_cuda("a CPU is never waited for")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")  # it misses some waits
@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS.keys())
def test_nineteen_steps_of_twenty_do_not_wait(words: list[str], device_run: list[str]) -> None:
    loop = loop_of([*device_run, "train.batch_size=16", *words])
    loop.parts.model.train()
    batches = iter(loop.parts.batches.epoch(0))
    with as_in_a_run(loop):
        for _ in range(20):  # the first ones make an optimizer's state, and the last of them waits
            loop.train_batch(*next(batches))
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(19):
                loop.train_batch(*next(batches))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert loop.counters.step == 39
