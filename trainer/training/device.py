"""The device and the number format of a run."""

import contextlib
import ctypes
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from trainer.config.train import Train
from trainer.errors import CheckpointError, ConfigError
from trainer.runs.provenance import processor
from trainer.training.matrix_convolution import with_matrix_products
from trainer.training.precision import refuse_float16
from trainer.training.ranks import ALONE, Ranks
from trainer.training.winograd import with_winograd

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_AMPERE = (8, 0)  # the compute capability from which GPUs multiply bfloat16 and TF32
AUTO_PRECISION = "TRAINER_AUTO_PRECISION"
_DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Compute:
    """A device and the format of matrix products on it. Sums, norms and the loss are always float32."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    tf32: bool = False  # float32 rounded to 10 bits of mantissa, on a GPU; `numerics` does it

    @property
    def precision(self) -> str:
        return "tf32" if self.tf32 else str(self.dtype).removeprefix("torch.")

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        # The cache of cast weights must not outlive a step: an evaluation inside it would see old weights.
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def place(self, model: nn.Module) -> nn.Module:
        """Move `model` to this device and memory format, in its layers' fastest form, and return it."""
        if self.device.type == "cpu" and self.dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported():
            with_matrix_products(model)
        if self.device.type == "cpu" and self.dtype == torch.float32:
            with_winograd(model)
        return model.to(device=self.device).to(memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]

    @property
    def description(self) -> dict[str, str]:
        """`device` and `precision`, as written to run.json."""
        return {"device": describe_device(self.device), "precision": self.precision}

    @property
    def gpu(self) -> dict[str, str]:
        """Versions that the bits of a GPU depend on, and its `capability`. Empty for anything but CUDA."""
        if self.device.type != "cuda":
            return {}
        capability = ".".join(map(str, torch.cuda.get_device_capability(self.device)))
        return {
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
            "capability": capability,
        }

    @property
    def measured_on(self) -> dict[str, str]:
        """Return what `runs.provenance.machine` says of a measurement: the GPU by name, and `gpu`. Empty as that is."""
        return {"gpu": describe_device(self.device), **self.gpu} if self.gpu else {}

    @property
    def kept(self) -> dict[str, str]:
        """Return what a resume has to have again for the same bits: the kind of `device`, and `precision`."""
        return {"device": self.device.type, "precision": self.precision}

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Compute on a stream of one's own on a GPU: nothing can be recorded on the default one."""
        if self.device.type != "cuda":
            yield
            return
        self.synchronize()
        with torch.cuda.stream(_own_stream(self.device)):
            yield
        self.synchronize()

    def peak_memory(self) -> int:
        """Return the most memory that was in use at once, in bytes: tensors on a GPU, else this process.

        That of the process includes Python, torch and the data set.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kilobytes if sys.platform == "darwin" else 1024 * kilobytes  # bytes there

    def synchronize(self) -> None:
        """Wait for the device. Call this before reading a clock."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that `work` takes, the device included."""
        self.synchronize()
        start = time.perf_counter()
        work()
        self.synchronize()
        return time.perf_counter() - start


@cache
def _own_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the same stream for each run of a process: cuBLAS keeps memory for each that it has seen."""
    return torch.cuda.Stream(device)


def choose_compute(config: Train, ranks: Ranks = ALONE, begun: Mapping[str, str] | None = None) -> Compute:
    """Return the device and precision of a config, for one of `ranks`.

    `begun` is `Compute.kept` of a run that is resumed. The precision `auto` is then that of the run. Raises ConfigError
    if this machine does not have them, and CheckpointError for another kind of device than the run's.
    """
    device = _device(config.device) if ranks.size == 1 else _device_of_rank(config.device, ranks)
    if begun and begun["device"] != device.type:
        raise CheckpointError(
            f"train.device: the run has steps on {begun['device']} and cannot go on with other bits on {device.type}; "
            f"resume it with train.device={begun['device']} on a machine that has it, or start a new run"
        )
    if begun and config.precision == "auto":
        config = config.model_copy(update={"precision": begun["precision"]})
    refuse_float16(config, str(device))
    if config.precision == "tf32":
        _refuse_tf32(device)
    dtype = _automatic_dtype(device) if config.precision == "auto" else _DTYPES[config.precision]
    return Compute(device, dtype, config.channels_last, tf32=config.precision == "tf32")


def describe_device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'' if threads == 1 else 's'}"


def keep_freed_memory(device: torch.device) -> None:
    """Make glibc keep the memory that a step on a CPU frees for the next, instead of returning it to the kernel.

    The activations of a batch exceed malloc's limit for separate mappings. By default every step therefore faults in
    all of its memory again: a quarter of FastResNet9's time on two cores (docs/lab-notes.md, 2026-11-21). Without
    glibc this does nothing.
    """
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda"):
        count = torch.cuda.device_count()
        index = int(name.partition(":")[2] or 0)
        if index >= count:
            raise ConfigError(f"train.device: {name!r}: torch {torch.__version__} sees {count} CUDA devices here")
        return torch.device("cuda", index)
    if name == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("train.device: 'mps': not on this machine; try auto or cpu")
    return torch.device(name)


def _device_of_rank(name: str, ranks: Ranks) -> torch.device:
    """Return a GPU for each rank of this machine, or the CPU for all."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if (count := torch.cuda.device_count()) < ranks.local_size:
        raise ConfigError(
            f"train.devices: {ranks.local_size} ranks need as many GPUs, and torch {torch.__version__} sees {count} "
            "here; take fewer, or train.device=cpu"
        )
    torch.cuda.set_device(ranks.local_rank)
    return torch.device("cuda", ranks.local_rank)


def _refuse_tf32(device: torch.device) -> None:
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < _AMPERE:
        raise ConfigError(
            f"train.precision: 'tf32' needs a CUDA device of compute capability 8.0, not {device}; try float32"
        )


def _automatic_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest format of a device, or the one in the environment: so the tests try each on any machine."""
    if device.type == "cpu" and (forced := os.environ.get(AUTO_PRECISION)):
        if forced not in ("float32", "bfloat16"):
            raise ConfigError(f"{AUTO_PRECISION}: {forced!r} is not a choice; expected float32 or bfloat16")
        return _DTYPES[forced]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= _AMPERE else torch.float16
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32
