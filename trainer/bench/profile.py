"""The time of a training step, operation by operation."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.layers import ghost_norm, handmade
from trainer.training import matrix_convolution, winograd
from trainer.training.device import Compute

PARTS = ("conv forward", "conv data", "conv weights", "norm", "activation", "optimizer", "other")
_NORMS = ("norm", "var_mean")
_ACTIVATIONS = ("relu", "threshold", "gelu", "celu", "elu", "silu", "sigmoid", "tanh", "hardswish", "clamp_min", "mish")
_PRODUCTS = {"forward": "conv forward", "_of_images": "conv data", "backward": "conv weights"}
_PRODUCT_FILES = {str(module.__file__) for module in (matrix_convolution, winograd)}
_NORM_FILES = {str(module.__file__) for module in (ghost_norm, handmade)}


def profile(step: Callable[[], None], optimizer: torch.optim.Optimizer, compute: Compute) -> dict[str, float]:
    """Return the share of each of PARTS in the time of one step, after one that is not counted.

    Each operation is waited for. A convolution's two gradients, one call in torch, are computed by a call each. `other`
    has what no operation accounts for, too: Python's own time.
    """
    step()
    clock = _Clock(compute)
    update, optimizer.step = optimizer.step, clock.updating(optimizer.step)
    try:
        with clock:
            start = time.perf_counter()
            step()
            whole = time.perf_counter() - start
    finally:
        optimizer.step = update
    shares = {part: clock.seconds[part] / whole for part in PARTS if part != "other"}
    return {**shares, "other": 1 - sum(shares.values())}


def kernels(step: Callable[[], None], compute: Compute) -> dict[str, float]:
    """Return what a step starts on a GPU: the number of `kernels`, copies with them, and their `kernel ms`.

    A step before it is not counted. On a CPU nothing is returned.
    """
    if compute.device.type != "cuda":
        return {}
    step()
    compute.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as trace:
        step()
        compute.synchronize()
    found = [event for event in trace.events() or () if event.device_type.name == "CUDA"]
    return {"kernels": len(found), "kernel ms": sum(event.time_range.elapsed_us() for event in found) / 1000}


class _Clock(TorchDispatchMode):
    """Adds the time of each operation below autograd to one of PARTS."""

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self._compute, self._updates = compute, False

    def updating(self, update: Callable[..., Any]) -> Callable[..., Any]:
        """Return an optimizer's step whose whole time, Python's own included, counts as its own."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._updates = True
            result = self._timed("optimizer", update, *args, **kwargs)
            self._updates = False
            return result

        return timed

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._updates:  # counted as a whole
            return func(*args, **kwargs)
        if func is torch.ops.aten.convolution_backward.default:
            return self._both_gradients(func, *args, **kwargs)
        return self._timed(_part(func.__name__.partition(".")[0]), func, *args, **kwargs)

    def _both_gradients(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        *rest, (of_data, of_weights, of_bias) = args
        data = self._timed("conv data", func, *rest, [True, False, False], **kwargs)[0] if of_data else None
        _, *others = self._timed("conv weights", func, *rest, [False, of_weights, of_bias], **kwargs)
        return (data, *others)

    def _timed(self, part: str, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._compute.synchronize()
        start = time.perf_counter()
        result = func(*args, **kwargs)
        self._compute.synchronize()
        self.seconds[part] += time.perf_counter() - start
        return result


def _part(operation: str) -> str:
    """Return the part that an operation belongs to, by its name or by the layer of ours that calls it."""
    frame: Any = sys._getframe(2)
    found: list[str] = []
    while frame:  # from the innermost caller outwards
        if frame.f_code.co_filename in _PRODUCT_FILES and frame.f_code.co_name in _PRODUCTS:
            found.append(_PRODUCTS[frame.f_code.co_name])
        elif frame.f_code.co_filename in _NORM_FILES:
            return "norm"
        frame = frame.f_back
    if found:
        return found[0]
    if "convolution" in operation:
        return "conv forward"
    if any(name in operation for name in _NORMS):
        return "norm"
    return "activation" if any(name in operation for name in _ACTIVATIONS) else "other"
