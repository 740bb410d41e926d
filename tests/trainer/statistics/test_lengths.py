"""Cost at equal accuracy, where the answer is known: accuracies on a line over the logarithm of the length."""

import math
from collections.abc import Mapping, Sequence

import pytest

from trainer.statistics.lengths import Lengths, Trained, along_one_slope


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


def one_slope(*arms: Mapping[int, Sequence[Trained]], target: float = 94) -> list[Lengths]:
    return along_one_slope([Lengths(target, arm) for arm in arms])


def test_who_has_one_length_is_read_along_the_slope_of_who_has_several() -> None:
    control = {0: runs(8, 7, 12), 1: runs(9, 7, 12)}
    found, arm, unrun = one_slope(control, {0: runs(10, 7), 1: runs(11, 7)}, {})
    assert (found.state, arm.state, unrun.state) == ("within", "within", "one length")
    assert found.costs("epochs") == pytest.approx({0: 8, 1: 9})
    assert arm.costs("epochs") == pytest.approx({0: 10, 1: 11})
    assert arm.costs("seconds") == pytest.approx({0: 100, 1: 110})
    assert arm.along and arm.along.slopes["epochs"].gain == pytest.approx(2)


def test_everyone_is_read_at_the_lengths_that_all_have() -> None:
    """So the runs of 12 epochs tell the slope alone: here they are 0.2 points below the line of the others."""
    low = [run._replace(accuracy=run.accuracy - 0.2) for run in runs(8, 12)]
    found, _ = one_slope({seed: [*runs(8, 7), *low] for seed in (0, 1)}, {0: runs(10, 7)})
    slope = 2 - 0.2 / math.log(12 / 7)
    assert found.costs("epochs") == pytest.approx(dict.fromkeys((0, 1), 7 * math.exp(2 * math.log(8 / 7) / slope)))


def test_runs_that_are_alike_cost_alike_wherever_they_are_read() -> None:
    """Also far from their accuracies, where a line of each one's own would be a guess."""
    control = {seed: runs(8 + seed, 7, 12) for seed in range(3)}
    for target in (93.8, 94, 94.2):
        found, same, slower = one_slope(
            control, {seed: runs(8 + seed, 7) for seed in range(3)}, {0: runs(9.5, 7)}, target=target
        )
        assert found.costs("epochs") == pytest.approx(same.costs("epochs"))
        assert slower.costs("epochs")[0] / same.costs("epochs")[0] == pytest.approx(9.5 / 8)


def test_along_one_slope_an_accuracy_beyond_the_lengths_has_no_cost() -> None:
    control = {0: runs(8, 7, 12), 1: runs(9, 7, 12)}
    _, far, near = one_slope(control, {0: runs(16, 7)}, {0: runs(5, 7)})
    assert (far.state, far.costs("seconds"), far.needed) == ("not reached", {}, pytest.approx(16))
    assert far.longest == (7, pytest.approx(94 - 2 * math.log(16 / 7)))
    assert (near.state, near.shortest[0]) == ("passed", 7)


def test_a_slope_that_may_be_0_tells_no_cost() -> None:
    """The seeds gain 2, 2 and -3 points: 0.33 on average, and the interval of it is far wider."""
    control = {0: runs(8, 7, 12), 1: runs(8, 7, 12), 2: runs(8, 7, 12, gain=-3)}
    assert [each.state for each in one_slope(control, {0: runs(8, 7)})] == ["flat", "flat"]
    alike = one_slope({0: runs(8, 7, 12), 1: runs(8, 7, 12, gain=2.2)}, {0: runs(8, 7)})
    slope = alike[1].along and alike[1].along.slopes["epochs"]
    # Pooled within seeds 2.1. Residuals of 0.1 times half the distance of the logarithms, on four runs with one degree
    # of freedom left: the standard error of the slope is 0.1, t of 1 degree of freedom 12.706.
    assert slope and (slope.gain, slope.half) == (pytest.approx(2.1), pytest.approx(12.706 * 0.1, rel=1e-4))


def test_one_seed_tells_no_slope_of_all() -> None:
    """Nothing is left of its two runs to tell the noise."""
    assert [each.state for each in one_slope({0: runs(8, 7, 12)}, {0: runs(8, 7)})] == ["flat", "flat"]


def test_without_a_length_that_all_have_each_is_read_alone() -> None:
    alone, other = one_slope({0: runs(8, 7, 12)}, {0: runs(8, 9)})
    assert alone.costs("epochs") == pytest.approx({0: 8})
    assert other.state == "one length"


def test_a_seed_without_all_of_the_lengths_is_read_nowhere() -> None:
    """Or else it would be read at another place of a line that is not its own."""
    control = {0: runs(9, 7, 12), 1: runs(9, 7, 12)}
    _, arm = one_slope(control, {0: runs(9, 7), 1: runs(9, 12)})
    assert arm.costs("epochs") == {} and arm.state == "one length"


def test_tables_whose_configurations_have_several_lengths_are_read_as_before() -> None:
    both = [Lengths(94, {0: runs(8, 7, 12)}), Lengths(94, {0: runs(8, 9, 12)}), Lengths(94, {})]
    assert along_one_slope(both) == both
    assert along_one_slope([Lengths(94, {0: runs(8, 7)})])[0].along is None
