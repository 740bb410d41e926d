"""The steps at which a probe looks."""

import pytest

from trainer.config.probe import When
from trainer.probes.due import steps_of


def looked_at(total: int, **words: object) -> list[int]:
    steps = steps_of(When.model_validate(words), total)
    return [step for step in range(total) if step in steps]


def test_every_begins_with_the_first_step() -> None:
    assert looked_at(10, every=4) == [0, 4, 8]
    assert looked_at(3, every=1) == [0, 1, 2]


def test_steps_in_equal_ratios_have_the_first_and_the_last_among_them() -> None:
    assert looked_at(1000, log_spaced=4) == [0, 9, 99, 999]
    assert looked_at(782, log_spaced=5)[-1] == 781


@pytest.mark.parametrize("total", [1, 2, 7, 1000])
@pytest.mark.parametrize("count", [2, 3, 20, 5000])
def test_more_of_them_than_there_are_steps_is_all_that_there_are(total: int, count: int) -> None:
    found = looked_at(total, log_spaced=count)
    assert {0, total - 1} <= set(found)
    assert len(found) <= min(total, count)


def test_one_in_equal_ratios_is_the_first_step() -> None:
    assert looked_at(1000, log_spaced=1) == [0]


def test_the_three_ways_add_up() -> None:
    assert looked_at(100, every=50, at=[3, 50], log_spaced=2) == [0, 3, 50, 99]


def test_none_of_them_is_off() -> None:
    assert not steps_of(When(), 100)
    assert looked_at(100) == []
