"""Noise of the test set: by hand, and against test sets that are drawn anew."""

import numpy as np
import pytest

from trainer.statistics.differences import over_both, welch
from trainer.statistics.images import image_error, image_error_of_difference


def test_images_that_all_runs_see_alike_have_the_noise_of_a_binomial() -> None:
    run = np.arange(10_000) < 9_000
    assert image_error([run, run]) == pytest.approx(100 * np.sqrt(0.9 * 0.1 / 9_999))
    assert image_error_of_difference([run, run], [run, run]) == 0  # the same images, the same answers
    assert image_error([run]) is None
    assert image_error([run, run[:-1]]) is None  # before: ValueError, and no page
    assert image_error_of_difference([run, run], [run[:5], run[:5]]) is None
    for few in (run[:1], run[:0]):
        assert image_error([few, few]) is None and image_error_of_difference([few, few], [few, few]) is None


def test_both_errors_are_those_of_new_test_sets() -> None:
    """Chances of two networks on 400 images, which share most of what is hard, and 3 runs of each."""
    draw = np.random.default_rng(0)

    def test_set() -> tuple[np.ndarray, np.ndarray]:
        a = draw.beta(4, 1, 400)
        return a, np.clip(a + draw.normal(0.02, 0.1, 400), 0, 1)

    def runs(chance: np.ndarray) -> list[np.ndarray]:
        return list(draw.random((3, 400)) < chance)

    sets = [test_set() for _ in range(2_000)]
    true = 100 * np.std([a.mean() for a, _ in sets]), 100 * np.std([a.mean() - b.mean() for a, b in sets])
    alone, between = np.array(
        [(image_error(x := runs(a)) or 0.0, image_error_of_difference(x, runs(b)) or 0.0) for a, b in sets]
    ).T
    assert np.sqrt(np.mean(alone**2)) == pytest.approx(true[0], rel=0.05)
    assert np.sqrt(np.mean(between**2)) == pytest.approx(true[1], rel=0.1)
    assert true[1] < true[0]  # paired by image


def test_an_interval_over_seeds_and_images_covers_the_truth_in_95_percent() -> None:
    """Each simulated table has other seeds, and other test images that move all of its runs of `a` together."""
    draw = np.random.default_rng(3)
    alone, both, tables = 0, 0, 2000
    for _ in range(tables):
        a = draw.normal(size=5) + draw.normal(0, 0.6)
        b = draw.normal(size=5)
        found = welch(a.tolist(), b.tolist())
        low, high = over_both(found, 0.6) or (0.0, 0.0)
        alone += (found.low or 0.0) <= 0 <= (found.high or 0.0)
        both += low <= 0 <= high
    assert 0.94 <= both / tables <= 0.98
    assert alone / tables < 0.92, "seeds alone do not know of the images"
    known = welch([1.0, 2.0], [2.0, 3.5])
    assert over_both(known, 0.0) == pytest.approx((known.low, known.high))
    assert over_both(welch([1.0], [2.0, 3.0]), 0.6) is None
