"""Cost at equal accuracy, where the answer is known: accuracies on a line over the logarithm of the length."""

import math

import pytest

from trainer.statistics.lengths import Lengths, Trained


def runs(epochs_at_target: float, *lengths: float, gain: float = 2.0, per_epoch: float = 10.0) -> list[Trained]:
    """Runs that reach 94 at a known length, and gain so many points when the length is multiplied by e."""
    return [Trained(e, per_epoch * e, 94 + gain * math.log(e / epochs_at_target)) for e in lengths]


def test_runs_on_a_line_have_the_length_at_which_the_line_is_at_the_target() -> None:
    found = Lengths(94, {0: runs(9, 7, 9, 12), 1: runs(10, 7, 9, 12, per_epoch=11)})
    assert found.state == "within"
    assert found.costs("epochs") == pytest.approx({0: 9, 1: 10})
    assert found.costs("seconds") == pytest.approx({0: 90, 1: 110})


def test_noise_around_the_line_is_averaged_by_least_squares() -> None:
    """Lengths at 1, e and e^2 times 4: a residual of (1, -2, 1) is orthogonal to every line, so it changes nothing."""
    clean = runs(4 * math.e, 4, 4 * math.e, 4 * math.e**2, gain=1)
    noisy = [run._replace(accuracy=run.accuracy + 0.1 * r) for run, r in zip(clean, (1, -2, 1), strict=True)]
    assert Lengths(94, {0: noisy}).costs("epochs")[0] == pytest.approx(4 * math.e)


def test_beyond_the_lengths_there_is_no_cost_and_it_says_on_which_side() -> None:
    short = Lengths(94, {seed: runs(20 + seed, 7, 9, 12) for seed in range(3)})
    assert (short.state, short.costs("seconds")) == ("not reached", {})
    assert short.longest == (12, pytest.approx(94 + 2 * math.log(12 / (20 * 21 * 22) ** (1 / 3))))
    assert short.needed == pytest.approx((20 * 21 * 22) ** (1 / 3))  # equal slopes: the geometric mean
    early = Lengths(94, {0: runs(5, 7, 9)})
    assert (early.state, early.costs("epochs")) == ("passed", {})
    assert early.shortest[0] == 7


def test_one_seed_beyond_the_lengths_counts_if_the_mean_is_within() -> None:
    """Before: leaving it out would be a choice of lucky seeds."""
    found = Lengths(94, {0: runs(8, 7, 9, 12), 1: runs(13, 7, 9, 12)})
    assert found.costs("epochs") == pytest.approx({0: 8, 1: 13})


@pytest.mark.parametrize("almost_flat", [(92.0, 92.0001), (98.0, 98.0001), (92.01, 92.02), (94.0, 94 + 1e-12)])
def test_a_seed_whose_line_is_at_the_accuracy_far_outside_of_its_lengths_has_no_cost(
    almost_flat: tuple[float, float],
) -> None:
    """Before: a cost of 1e44 seconds, or an infinite one, went into the mean. All seeds count or none."""
    low, high = almost_flat
    steep = {0: runs(6, 5, 10, gain=9), 1: runs(7, 5, 10, gain=9)}
    found = Lengths(94, {**steep, 2: [Trained(5, 50, low), Trained(10, 100, high)]})
    at_an_end = low == 94
    assert found.state == ("within" if at_an_end else "flat")
    assert found.costs("seconds").keys() == ({0, 1, 2} if at_an_end else set())
    assert found.needed is not None and math.isfinite(found.needed)


def test_a_line_is_read_as_far_beyond_the_lengths_as_they_are_apart() -> None:
    """Lengths of 5 and 10 epochs: from 2.5 to 20."""
    others = {0: runs(7, 5, 10, gain=20), 1: runs(7, 5, 10, gain=20)}
    for at, state in ((19.9, "within"), (20.1, "flat"), (2.51, "within"), (2.49, "flat")):
        found = Lengths(94, {**others, 2: runs(at, 5, 10, gain=1)})
        assert found.state == state
        assert found.costs("epochs") == (pytest.approx({0: 7, 1: 7, 2: at}) if state == "within" else {})


def test_no_extrapolation_is_infinite() -> None:
    found = Lengths(94, {0: [Trained(5, 50, 92), Trained(10, 100, 92 + 1e-12)]})
    assert found.state == "not reached" and found.needed is not None
    assert found.needed > 1e300 and math.isfinite(found.needed)


def test_an_accuracy_that_does_not_rise_has_no_cost() -> None:
    flat = [Trained(7, 70, 93), Trained(9, 90, 93), Trained(12, 120, 93)]
    falling = [Trained(7, 70, 93.9), Trained(9, 90, 97), Trained(12, 120, 93.9)]
    assert Lengths(94, {0: flat}).needed is None
    both = Lengths(94, {0: [*runs(9, 7, 12, gain=30)], 1: falling})
    assert (both.state, both.costs("epochs")) == ("flat", {})
    assert Lengths(94, {0: runs(9, 9)}).state == "one length"
    assert Lengths(94, {}).costs("seconds") == {}
