"""Number formats that this machine refuses, without torch, which takes seconds to import."""

import sys
from pathlib import Path

from trainer.config.train import Train
from trainer.errors import ConfigError

_GPU_FILES = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "dxg", "kfd")  # in /dev: CUDA, on Jetson, under WSL; ROCm


def refuse_float16(train: Train, device: str | None = None) -> None:
    """Raise ConfigError for float16 on anything but CUDA. `device` is the one in use, if it is known.

    Otherwise the one that is asked for decides, and `auto` passes if there may be a GPU.
    """
    found = device or train.device
    if device is None and train.device == "auto" and not may_have_cuda():
        found = "cpu"
    if train.precision == "float16" and not found.startswith(("cuda", "auto")):
        raise ConfigError(f"train.precision: 'float16' needs a CUDA device, not {found}; try bfloat16 or float32")


def may_have_cuda() -> bool:
    """Return False only if the kernel shows no GPU that torch's CUDA could use."""
    if sys.platform == "darwin":
        return False
    return sys.platform != "linux" or any(any(Path("/dev").glob(pattern)) for pattern in _GPU_FILES)
