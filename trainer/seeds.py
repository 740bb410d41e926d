"""Random numbers that depend on a seed and on what they are for, and on nothing else."""

import hashlib

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on the CPU, so that draws are the same on every device; others for another seed or purpose."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
