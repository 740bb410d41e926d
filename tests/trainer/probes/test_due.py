"""The steps at which a probe measures."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.config.probe import When
from trainer.probes.due import steps_of
from trainer.runs.history import read_history
from trainer.training.run import start_run


def measured_steps(total: int, **settings: object) -> list[int]:
    steps = steps_of(When.model_validate(settings), total)
    return [step for step in range(total) if step in steps]


def test_every_begins_with_the_first_step() -> None:
    assert measured_steps(10, every=4) == [0, 4, 8]
    assert measured_steps(3, every=1) == [0, 1, 2]


def test_steps_in_equal_ratios_have_the_first_and_the_last_among_them() -> None:
    assert measured_steps(1000, log_spaced=4) == [0, 9, 99, 999]
    assert measured_steps(782, log_spaced=5)[-1] == 781


@pytest.mark.parametrize("total", [1, 2, 7, 1000])
@pytest.mark.parametrize("count", [2, 3, 20, 5000])
def test_asking_for_more_steps_than_the_run_has_gives_no_duplicates(total: int, count: int) -> None:
    found = measured_steps(total, log_spaced=count)
    assert {0, total - 1} <= set(found)
    assert len(found) <= min(total, count)


def test_one_in_equal_ratios_is_the_first_step() -> None:
    assert measured_steps(1000, log_spaced=1) == [0]


def test_the_three_ways_add_up() -> None:
    assert measured_steps(100, every=50, at=[3, 50], log_spaced=2) == [0, 3, 50, 99]


def test_a_probe_is_off_by_default() -> None:
    assert not steps_of(When(), 100)
    assert measured_steps(100) == []


def test_log_spaced_steps_end_where_max_steps_ends_the_run(tmp_path: Path, small_run: list[str]) -> None:
    overrides = [*small_run, "train.max_steps=8", "probe.drift.log_spaced=3"]
    result = start_run(load_config(overrides).config, runs=tmp_path)
    assert [row["step"] for row in read_history(result.folder).having("runs/loss")] == [0, 2, 7]
