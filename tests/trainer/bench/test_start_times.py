"""The measurement of starts: processor time of whole processes."""

import pytest

from trainer.bench.start import bench_start


def test_a_process_is_measured() -> None:
    found = bench_start(rounds=1, starts={"wrong model": "train --model resnet81"})
    (row,) = found["measured"].values()
    seconds = row["processor time, s"]
    assert 0.01 < seconds["min"] == seconds["median"] == seconds["max"]


def test_a_command_that_ends_otherwise_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        bench_start(rounds=1, starts={"help": "--halp"})
