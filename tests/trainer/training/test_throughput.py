"""The loop's whole price: training as `trainer train` does it against a bare step written by hand."""

import os
import time

import pytest
import torch
from torch.nn import functional as F

from models import build_model
from trainer.config import load_config
from trainer.data.sources import load_image_set
from trainer.training.device import choose_compute
from trainer.training.loop import Loop
from trainer.training.run import build_parts

PAIRS, BATCH = 6, 128


@pytest.mark.slow
def test_resnet18_trains_as_fast_as_a_bare_step() -> None:
    """In turn: a step of the loop with its gathering, augmentation and sums, and a bare one; median of the ratios."""
    torch.set_num_threads(os.cpu_count() or 1)  # the suite's other tests run on one
    overrides = ["model.name=resnet18", "data.name=shapes10", f"train.batch_size={BATCH}", "sink.wandb.mode=disabled"]
    config = load_config(overrides).config
    compute = choose_compute(config.train)
    parts = build_parts(config, compute, load_image_set(config.data, seed=0))
    loop = Loop(parts, [], keep=lambda *_: None, stop_requested=lambda: False)
    batches = parts.batches.epoch(0)

    def ours() -> None:
        loop.train_batch(*next(batches))

    net = compute.place(build_model("resnet18"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(BATCH, 3, 32, 32, device=compute.device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,), device=compute.device)

    def bare() -> None:
        with compute.autocast():
            loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def seconds(step) -> float:
        start = time.perf_counter()
        step()
        compute.synchronize()
        return time.perf_counter() - start

    parts.model.train()
    for step in (ours, bare):
        step()
    timed = [(seconds(bare), seconds(ours)) for _ in range(PAIRS)]
    ratios = sorted(bare_s / ours_s for bare_s, ours_s in timed)
    median = (ratios[PAIRS // 2 - 1] + ratios[PAIRS // 2]) / 2
    print(f"images/s, loop over bare: median {median:.3f}, {ratios[0]:.3f} to {ratios[-1]:.3f}, n = {PAIRS}, "
          f"{compute.precision}, bare {BATCH * PAIRS / sum(b for b, _ in timed):.1f} images/s")  # fmt: skip
    assert median > 0.95
