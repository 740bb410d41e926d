"""torch.compile, and a GPU's first kernels, ahead of training, so that no training step waits for them."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.probes.untouched import untouched
from trainer.training.parts import Parts

_LONG = 50_000
"""Steps of a run that `auto` compiles, which no GPU has measured: if each saves 0.8 ms, they pay for 40 s."""


_MOST_SHAPES = 4
"""Shapes that have kernels of their own. torch gives up at the ninth, and `train.accumulate` may make two of one."""


def compiled(
    model: nn.Module, train: Train, device: torch.device, steps: int, shapes: int
) -> Callable[[Tensor], Tensor]:
    """Return a network as `train.compile` asks for it, for a run of so many steps and shapes of batches.

    Nothing is compiled yet.
    """
    mode = train.compile
    if mode == "auto":
        mode = "default" if device.type == "cuda" and steps >= _LONG else False
    if not mode:
        return model
    # Recorded steps are graphs of their own, so Inductor's would be one too many.
    mode = "max-autotune-no-cudagraphs" if mode == "max-autotune" else mode
    # Kernels for any size are slower, and torch makes those for a second shape if it may.
    return torch.compile(model, mode=mode, dynamic=False if shapes <= _MOST_SHAPES else None)


def needs_a_pass(parts: Parts) -> bool:
    """Return whether the first pass of a shape takes longer than others: a compiled network's, and any on a GPU."""
    return parts.forward is not parts.model or parts.compute.device.type == "cuda"


def pass_ahead(parts: Parts) -> float:
    """Pass an empty batch of each of the run's shapes forward and backward. Return the seconds that it took.

    torch.compile makes its kernels when it first sees a shape. A GPU loads its libraries and kernels, and cuDNN makes
    its plans.
    Weights, statistics, gradients and generators stay as they are.
    """
    begun = time.perf_counter()
    config, compute = parts.config, parts.compute
    steps = parts.batches.steps.of(config.epochs, most=config.max_steps)
    with untouched(parts.model):
        parts.model.train()
        for shape in parts.batches.shapes(steps):
            (images,) = parts.ranks.part(torch.zeros(shape, dtype=torch.uint8, device=compute.device))
            images = parts.normalize(images, compute.memory_format)
            for part in images.tensor_split(min(config.accumulate, len(images))):
                with compute.autocast():
                    logits = parts.forward(part)
                logits.float().square().sum().backward()
    compute.synchronize()
    return time.perf_counter() - begun
