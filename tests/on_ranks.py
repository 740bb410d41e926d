"""Many runs on one, two and four ranks, all in four processes: a start of a process takes seconds.

Ranks meet as torchrun's do: by its environment variables, over a store that their parent holds.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from trainer.config import load_config
from trainer.config.train import Train
from trainer.data.batches import Normalize
from trainer.runs.checkpoint import load_checkpoint
from trainer.sweep.child import CONTEXT
from trainer.training.network_arguments import complete_parts
from trainer.training.process_group import ranks_of
from trainer.training.run import follow_run, start_run
from trainer.training.spawned import open_store

_PROCESSES = 4


@dataclass(frozen=True)
class Case:
    """A run of these overrides on `size` ranks, in the folder `name`. Where `double`, all of it is in float64."""

    name: str
    words: Sequence[str]
    size: int
    double: bool = False
    fails: str | None = None  # a pattern of the RuntimeError on every rank


def train_all(cases: Sequence[Case], runs: Path) -> None:
    """Train each case into RUNS, where `pretend.server` is ready. Those on one rank are trained beside those on two."""
    runs.mkdir(exist_ok=True)
    cases = sorted(cases, key=lambda case: case.size)
    stores = [open_store(case.size) for case in cases]
    ports = [store.port for store in stores]
    start_processes(_work, (cases, ports, runs), nprocs=_PROCESSES, start_method=CONTEXT.get_start_method())


def _work(index: int, cases: Sequence[Case], ports: Sequence[int], runs: Path) -> None:
    torch.set_num_threads(1)
    for case, port in zip(cases, ports, strict=True):
        rank = _PROCESSES - 1 - index if case.size == 1 else index  # the last one trains alone
        if rank >= case.size:
            continue
        place = {"RANK": rank, "WORLD_SIZE": case.size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": case.size}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
        os.environ.update({key: str(value) for key, value in {**place, **meeting}.items()})
        expected = pytest.raises(RuntimeError, match=case.fails) if case.fails else nullcontext()
        with pytest.MonkeyPatch.context() as patch, _in_double(patch, on=case.double), expected:
            if rank == 0:
                words = [*case.words, "probe.path.every_epochs=1000"]  # keeps the first weights
                start_run(load_config(words, complete=complete_parts).config, runs=runs, name=case.name)
            else:
                follow_run(ranks_of(Train()))


@contextmanager
def _in_double(patch: pytest.MonkeyPatch, *, on: bool) -> Iterator[None]:
    """Compute in float64, where rounding is too small to grow into a difference that training makes."""
    if not on:
        yield
        return
    normalize = Normalize.__call__
    patch.setattr(Normalize, "__call__", lambda self, *images: normalize(self, *images).double())
    patch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def apart(one: Path, other: Path, *, statistics: bool = True) -> float:
    """Return |a - b| / |a| for the last weights of two runs, averaged ones included, and their running statistics."""
    states = [load_checkpoint(folder / "checkpoint.pt") for folder in (one, other)]
    ours, theirs = (torch.cat([_flat(state[net], statistics) for net in ("model", "evaluated")]) for state in states)
    return float((ours - theirs).norm() / ours.norm())


def moved(run: Path) -> float:
    """Return |a - b| / |a| for the first and the last weights of a run."""
    paths = run / "path" / "0.pt", run / "checkpoint.pt"
    first, last = (_flat(load_checkpoint(path)["evaluated"], statistics=False) for path in paths)
    return float((first - last).norm() / first.norm())


def _flat(state: dict[str, Tensor], statistics: bool) -> Tensor:
    kept = [value for key, value in state.items() if statistics or ".running_" not in key]
    return torch.cat([each.double().flatten() for each in kept if each.is_floating_point()])
