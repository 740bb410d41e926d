"""torch.compile, and a GPU's first kernels, ahead of training, so that no training step waits for them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.errors import ConfigError, first_line
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

    Nothing is compiled yet. Raises ConfigError where a CPU's kernels would have no compiler.
    """
    mode = train.compile
    if mode == "auto":
        mode = "default" if device.type == "cuda" and steps >= _LONG else False
    if not mode:
        return model
    if device.type == "cpu":
        _refuse_no_compiler()
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
    Weights, statistics, gradients and generators stay as they are. Raises ConfigError if kernels cannot be compiled.
    """
    begun = time.perf_counter()
    config, compute = parts.config, parts.compute
    steps = parts.batches.steps.of(config.epochs, most=config.max_steps)
    with untouched(parts.model), _in_a_line():
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


def _refuse_no_compiler() -> None:
    """Raise ConfigError if there is no C++ compiler. torch finds out at the first kernel, when the run has begun."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # imports all of Inductor

    with _in_a_line():
        get_cpp_compiler()


@contextmanager
def _in_a_line() -> Iterator[None]:
    """Turn whatever keeps torch.compile from making kernels into a ConfigError of one line."""
    try:
        yield
    except RuntimeError as error:
        from torch._dynamo.exc import BackendCompilerFailed  # slow to import
        from torch._inductor import exc

        # Inductor's error is one of the backend's.
        own = (BackendCompilerFailed, exc.CppCompileError, exc.InvalidCxxCompiler, exc.TritonMissing)
        if not isinstance(error, (*own, exc.GPUTooOldForTriton)):
            raise
        reason = error.inner_exception if isinstance(error, BackendCompilerFailed) else error
        raise ConfigError(f"train.compile: {first_line(reason)}; set train.compile=false") from error
