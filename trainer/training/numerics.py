"""Kernels and number formats of a run: what makes its bits repeat, and what it costs to let them vary."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from trainer.config.train import Train
from trainer.errors import UserError, first_line
from trainer.threads import let_cublas_repeat

let_cublas_repeat()  # before the first product of the process

_INEXACT_POOLS = r"(adaptive_)?max_pool2d\w*backward\w* does not have a deterministic implementation"


@contextlib.contextmanager
def numerics(train: Train, model: nn.Module | None = None) -> Iterator[None]:
    """Choose the kernels and formats that a config asks for, and afterwards those from before.

    By default cuDNN's algorithms are those that repeat their bits, and float32 is not rounded to TF32. With the `model`
    there is no warning of max pools if its own are known to repeat. Call it after torch.compile, which has a flag of
    its own for this.
    """
    cudnn, matmul, strict = torch.backends.cudnn, torch.backends.cuda.matmul, train.deterministic
    tf32 = train.precision == "tf32"
    try:
        before = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, bool(matmul.allow_tf32))
    except RuntimeError as error:
        raise UserError(
            "train.precision: something in this process has set torch.backends...fp32_precision, which torch does not "
            f"mix with the setting that train.precision makes; remove it: {first_line(error)}"
        ) from error
    memory: Any = torch.utils.deterministic  # a module whose attributes are properties
    mode, fills = torch.get_deterministic_debug_mode(), memory.fill_uninitialized_memory
    with warnings.catch_warnings():
        if strict and model is not None and not _pools_overlap(model):
            warnings.filterwarnings("ignore", message=_INEXACT_POOLS)
        try:
            _choose(not train.cudnn_benchmark, train.cudnn_benchmark, tf32, tf32)
            memory.fill_uninitialized_memory = fills and not strict  # NaN in all that is allocated
            # Warn only: torch lists max pooling's gradient on CUDA as not deterministic, and has no other.
            _set_deterministic("warn" if strict else "default")
            _let_inductor_time(train.cudnn_benchmark or train.compile == "max-autotune")
            yield
        finally:
            _set_deterministic(mode)
            memory.fill_uninitialized_memory = fills
            _choose(*before)


def _pools_overlap(model: nn.Module) -> bool:
    """Return whether the gradient of a pixel may be a sum in any order: that of a max pool whose windows share it."""
    pools = (layer for layer in model.modules() if isinstance(layer, nn.MaxPool2d))
    sides = (pair for pool in pools for pair in zip(_two(pool.kernel_size), _two(pool.stride), strict=True))
    return any(side > step for side, step in sides)


def _two(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else size


def _choose(deterministic: bool, benchmark: bool, tf32_convolutions: bool, tf32_products: bool) -> None:
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32_convolutions, tf32_products


def _let_inductor_time(kernels: bool) -> None:
    """Let compiled kernels be chosen by timing them, or not. torch then sums in another order in each process."""
    if "torch._inductor.config" in sys.modules:  # which torch.compile has imported
        from torch._inductor import config

        config.deterministic = not kernels


def _set_deterministic(mode: int | str) -> None:
    torch.set_deterministic_debug_mode(mode)
    # torch.compile and timm import it. It takes a second, so not for its flag alone.
    if "torch._inductor.config" in sys.modules:
        on = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(on, warn_only=torch.is_deterministic_algorithms_warn_only_enabled())
