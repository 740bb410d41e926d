"""The steps of a run, against batches counted one by one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config.train import BatchSchedule
from trainer.data.steps import Steps


@st.composite
def schedules(draw: st.DrawFn) -> BatchSchedule:
    begins = sorted(draw(st.sets(st.integers(1, 5), max_size=3)))
    sizes = tuple(draw(st.integers(1, 60)) for _ in begins)
    return BatchSchedule(sizes=sizes, from_epochs=tuple(begins))


@given(st.integers(1, 50), st.integers(1, 60), st.booleans(), schedules(), st.integers(1, 99))
def test_steps_are_those_of_batches_cut_one_by_one(
    images: int, batch_size: int, drop_last: bool, schedule: BatchSchedule, reached: int
) -> None:
    steps = Steps(images, batch_size, drop_last, schedule)
    batches: list[tuple[int, int]] = []  # (epoch, images)
    for epoch in range(7):
        now = [size for at, size in zip(schedule.from_epochs, schedule.sizes, strict=True) if at <= epoch]
        size = min([batch_size, *now][-1], images)
        whole = [min(size, images - at) for at in range(0, images, size)]
        batches += [(epoch, count) for count in whole if count == size or not drop_last]
    for epoch in range(7):
        assert steps.in_epoch(epoch) == sum(each == epoch for each, _ in batches)
        assert steps.of(epoch) == sum(each < epoch for each, _ in batches)
        begin = steps.of(epoch)
        assert steps.epochs_at(begin) == epoch
        assert steps.epochs_at(begin + steps.in_epoch(epoch) - 1) < epoch + 1
    reached = min(reached, len(batches))
    assert {count for _, count in steps.sizes(reached)} == {count for _, count in batches[:reached]}


def test_sizes_are_of_the_batches_that_a_run_reaches() -> None:
    late = Steps(9, 3, schedule=BatchSchedule(sizes=(4,), from_epochs=(50,)))
    assert list(late.sizes(150)) == [(0, 3)]
    assert list(late.sizes(152)) == [(0, 3), (50, 4)]
    assert list(late.sizes(153)) == [(0, 3), (50, 4), (50, 1)]
    assert list(Steps(9, 4).sizes(9, changes=[1, 2, 3])) == [(0, 4), (0, 1), (1, 4), (1, 1), (2, 4), (2, 1)]


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "count"), [(3, 10, 30), (9.9, 97, 961), (1.1, 10, 11), (0.01, 10, 1), (2.5, 1, 3)]
)
def test_the_last_of_fractional_epochs_is_the_first_step_that_completes_them(
    epochs: float, per_epoch: int, count: int
) -> None:
    steps = Steps(per_epoch, 1)
    assert steps.of(epochs) == count
    assert steps.epochs_at(7) == Fraction(7, per_epoch)


def test_a_fraction_after_a_change_has_the_new_size() -> None:
    steps = Steps(16, 2, schedule=BatchSchedule(sizes=(4,), from_epochs=(2,)))
    assert steps.of(2.5) == 18


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"sizes": [4]}, "1 sizes but 0 epochs; give one epoch a size"),
        ({"sizes": [4, 8], "from_epochs": [3, 3]}, r"from_epochs must rise, got \[3, 3\]"),
        ({"sizes": [4], "from_epochs": [0]}, "greater than 0"),
    ],
)
def test_a_schedule_that_says_nothing_is_refused(words: dict[str, list[int]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        BatchSchedule.model_validate(words)
