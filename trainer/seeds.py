"""Random numbers that depend only on a seed and a purpose."""

import hashlib
from collections.abc import Mapping

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a generator on the CPU, so that draws are the same on every device."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def random_state(device: torch.device) -> dict[str, torch.Tensor | None]:
    """Return the state of torch's own generators, which dropout uses. Batches depend on (seed, epoch) alone."""
    on_device = None
    if device.type == "cuda":
        on_device = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        on_device = torch.mps.get_rng_state()
    return {"cpu": torch.get_rng_state(), "device": on_device}


def set_random_state(state: Mapping[str, torch.Tensor | None], device: torch.device) -> None:
    """Restore the generators to the result of `random_state`."""
    if (cpu := state["cpu"]) is not None:
        torch.set_rng_state(cpu)
    if (on_device := state["device"]) is not None:
        if device.type == "cuda":
            torch.cuda.set_rng_state(on_device, device)
        elif device.type == "mps":
            torch.mps.set_rng_state(on_device)
