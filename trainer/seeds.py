"""Random numbers that depend only on a seed and a purpose, and the state of the generators that everybody shares."""

import contextlib
import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a generator on the CPU, so that draws are the same on every device."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def seed_shared(seed: int) -> None:
    """Seed torch's own generators, and those of NumPy and Python, from which a part of the user's may draw."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # all that it takes
    random.seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of the shared generators, in plain values. Dropout draws from torch's.

    Batches depend on (seed, epoch) alone.
    """
    on_device = None
    if device.type == "cuda":
        on_device = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        on_device = torch.mps.get_rng_state()
    name, keys, *rest = np.random.get_state()
    return {
        "cpu": torch.get_rng_state(),
        "device": on_device,
        "numpy": (name, np.asarray(keys).tolist(), *rest),
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore the generators to the result of `random_state`. One that it does not know stays as it is."""
    if (cpu := state["cpu"]) is not None:
        torch.set_rng_state(cpu)
    if (on_device := state["device"]) is not None:
        if device.type == "cuda":
            torch.cuda.set_rng_state(on_device, device)
        elif device.type == "mps":
            torch.mps.set_rng_state(on_device)
    if "numpy" in state:  # not in checkpoints of 0.1.0
        np.random.set_state(state["numpy"])
        random.setstate(state["python"])


@contextlib.contextmanager
def draws_forgotten() -> Iterator[None]:
    """Restore the shared generators at the end of the block, so that a trial in it changes no later draw."""
    cpu = torch.device("cpu")
    state = random_state(cpu)
    try:
        yield
    finally:
        set_random_state(state, cpu)
