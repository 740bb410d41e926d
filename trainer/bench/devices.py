"""One run on several devices, by `trainer train` itself."""

import json
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from trainer.bench.rounds import in_turns, ratio, result, run_trainer, spread
from trainer.config import RunConfig
from trainer.errors import UserError

_EPOCHS = 3  # the first, with starts and compilation, is not counted
_ALONE = "1 device"


def bench_devices(
    overrides: Sequence[str], config: RunConfig, *, counts: Sequence[int] = (2,), rounds: int = 3
) -> dict[str, Any]:
    """Return images/s of training on each number of devices, of `config`, which is that of `overrides`.

    `strong` scaling keeps the batch of the run, so that each device has a smaller part. `weak` scaling keeps the part
    of each device. `efficiency` is the gain over one device divided by the number of devices.
    Raises UserError for a number that the trainer refuses and for a run that is too short, RuntimeError if a run fails.
    """
    batch = config.train.batch_size
    sides = {_ALONE: partial(_images_per_second, overrides, 1, batch)}
    several = [count for count in sorted(set(counts)) if count > 1]
    for count in several:
        sides[_name(count, "strong")] = partial(_images_per_second, overrides, count, batch)
        sides[_name(count, "weak")] = partial(_images_per_second, overrides, count, batch * count)
    rates = in_turns(sides, rounds=rounds)
    measured = {name: {"images/s": spread(rate)} for name, rate in rates.items()}
    for count in several:
        for kind in ("strong", "weak"):
            gain = ratio(rates[_name(count, kind)], rates[_ALONE])
            efficiency = {key: 100 * value / count for key, value in gain.items()}
            measured[_name(count, kind)] |= {"gain, ratio": gain, "efficiency %": efficiency}
    from trainer.training.device import choose_compute

    gpu = choose_compute(config.train).measured_on
    return result("devices", measured, rounds=rounds, gpu=gpu, network=config.model.name, batch_size=batch)


def _name(count: int, kind: str) -> str:
    return f"{count} devices, {kind}"


def _images_per_second(overrides: Sequence[str], count: int, batch: int) -> float:
    with tempfile.TemporaryDirectory() as runs:
        shape = [f"train.devices={count}", f"train.batch_size={batch}", f"train.epochs={_EPOCHS}"]
        run_trainer(["train", *overrides, *shape, "train.evaluate_every=1", "--runs", runs])
        (metrics,) = Path(runs).glob("*/metrics.jsonl")
        rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if "time/images_per_second" in row]  # of whole epochs; train.log_every adds others
    if len(rows) < 2:
        raise UserError("bench devices: the run finished within its first epoch; nothing is measured")
    return statistics.median(row["time/images_per_second"] for row in rows[1:])
