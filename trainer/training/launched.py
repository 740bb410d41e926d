"""The place of a process among those that torchrun has started. Needs no torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Launched:
    """A process among `size` of one run. Numbers are from 0."""

    rank: int
    size: int
    local_rank: int  # among those of this machine
    local_size: int


def launched(env: Mapping[str, str] = os.environ) -> Launched | None:
    """Return the place that torchrun has written into the environment, None if this process runs alone."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if "MASTER_ADDR" not in env or not all(env.get(name, "").isdigit() for name in names):
        return None
    found = Launched(*(int(env[name]) for name in names))
    return found if found.size > 1 else None
