"""Random numbers that depend on a seed and on what they are for, and on nothing else."""

import hashlib
from collections.abc import Mapping

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on the CPU, so that draws are the same on every device; others for another seed or purpose."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def random_state(device: torch.device) -> dict[str, torch.Tensor | None]:
    """Where torch's own generators stand, which dropout draws from; batches draw from (seed, epoch) alone."""
    on_device = None
    if device.type == "cuda":
        on_device = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        on_device = torch.mps.get_rng_state()
    return {"cpu": torch.get_rng_state(), "device": on_device}


def set_random_state(state: Mapping[str, torch.Tensor | None], device: torch.device) -> None:
    """Put them back to where `random_state` saw them."""
    if (cpu := state["cpu"]) is not None:
        torch.set_rng_state(cpu)
    if (on_device := state["device"]) is not None:
        if device.type == "cuda":
            torch.cuda.set_rng_state(on_device, device)
        elif device.type == "mps":
            torch.mps.set_rng_state(on_device)
