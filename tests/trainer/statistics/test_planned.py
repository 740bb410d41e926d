"""What seeds can tell before they are run: the tests of a page, at its correction."""

import numpy as np
import pytest

from trainer.statistics.comparisons import with_control
from trainer.statistics.planned import Test, seeds_for, smallest_difference
from trainer.statistics.power import lead_needed, seeds_needed


def test_two_seeds_have_no_verdict_and_more_find_less() -> None:
    tests: tuple[Test, ...] = ("best", "control", "pairs")
    for test in tests:
        found = [smallest_difference(test, 0.5, n, others=3) for n in (2, 3, 5, 10, 20)]
        assert found[0] is None
        assert found[1:] == sorted((each for each in found if each), reverse=True)
        assert smallest_difference(test, 0.0, 5, others=3) is None


def test_the_figures_are_those_of_the_page() -> None:
    assert smallest_difference("best", 0.3, 5, others=5) == lead_needed((0.3,) * 6, 5)
    assert seeds_for("best", 0.3, 0.6, others=2) == seeds_needed((0.6, 0.0, 0.0), (0.3,) * 3)


def test_a_difference_takes_the_seeds_that_find_it() -> None:
    tests: tuple[Test, ...] = ("best", "control", "pairs")
    for test in tests:
        n = seeds_for(test, 0.3, 0.4, others=4)
        assert n is not None
        found, before = (smallest_difference(test, 0.3, count, others=4) for count in (n, n - 1))
        assert found is not None and before is not None
        assert found <= 0.4 < before
    assert seeds_for("best", 1.0, 1e-6, others=1) is None, "more than 10,000"
    assert seeds_for("best", 0.0, 1.0, others=1) is None


def test_with_one_other_the_control_s_test_is_that_of_the_best() -> None:
    assert smallest_difference("control", 1.0, 5, others=1) == smallest_difference("best", 1.0, 5, others=1)


def test_a_difference_from_the_control_is_found_in_80_percent_of_drawn_sweeps() -> None:
    n, others = 5, 4
    lead = smallest_difference("control", 1.0, n, others=others)
    assert lead is not None
    random, found, count = np.random.default_rng(1), 0, 800
    for _ in range(count):
        drawn = random.normal(size=(others + 1, n))
        drawn[1] += lead
        samples = {f"c{k}": dict(enumerate(map(float, row))) for k, row in enumerate(drawn)}
        found += with_control(samples, "c0")[0].finding == "higher"
    assert found / count == pytest.approx(0.8, abs=0.05)
