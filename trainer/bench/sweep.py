"""Points of a sweep in turn and at once, by `trainer sweep run` itself."""

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from trainer.bench.rounds import in_turns, ratio, result, run_trainer, spread
from trainer.config import RunConfig


def bench_sweep(
    overrides: Sequence[str], config: RunConfig, *, at_once: Sequence[int] = (2,), rounds: int = 3
) -> dict[str, Any]:
    """Return points a minute of K seeds of one config, one after the other and all at once on one device, for each K.

    `config` is that of `overrides`. Starts and ends of the processes are part of it. `gain` is the speed at once
    divided by that in turn. Raises UserError for what the trainer refuses, RuntimeError if a sweep fails.
    """
    sides = {
        f"{count} points {how}": partial(_points_per_minute, overrides, count, jobs)
        for count in at_once
        for how, jobs in (("in turn", 1), ("at once", count))
    }
    rates = in_turns(sides, rounds=rounds)
    measured = {name: {"points/min": spread(rate)} for name, rate in rates.items()}
    for count in at_once:
        together, alone = f"{count} points at once", f"{count} points in turn"
        measured[together]["gain, ratio"] = ratio(rates[together], rates[alone])
    from trainer.training.device import choose_compute

    gpu = choose_compute(config.train).measured_on
    return result("sweep", measured, rounds=rounds, gpu=gpu, config=" ".join(overrides))


def _points_per_minute(overrides: Sequence[str], count: int, jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(yaml.safe_dump({"method": "grid", "parameters": {"seed": {"values": list(range(count))}}}))
        words = ["sweep", "run", str(file), *overrides, "--runs", f"{folder}/runs", "--per-device", str(jobs)]
        start = time.perf_counter()
        run_trainer(words)
        taken = time.perf_counter() - start
    return 60 * count / taken
