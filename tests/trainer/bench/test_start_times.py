"""The measurement of starts: processor time of whole processes."""

import pytest

from trainer.bench.start import bench_start


def test_processes_are_measured() -> None:
    found = bench_start(rounds=1, starts={"help": "--help", "wrong model": "train --model resnet81"})
    times = [row["processor time, s"] for row in found["measured"].values()]
    assert all(0.01 < each["min"] == each["median"] == each["max"] for each in times)


def test_a_command_that_ends_otherwise_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        bench_start(rounds=1, starts={"config": "config --model resnet81"})
