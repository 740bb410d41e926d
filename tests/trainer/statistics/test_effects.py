"""Effect sizes: against a printed example, and their interval against drawn samples."""

import numpy as np
import pytest
from scipy import stats

from trainer.statistics.effects import effect


def test_it_is_that_of_the_samples_by_hand() -> None:
    """Means 3 and 1, both of variance 1: d is 2, and the exact correction of 4 degrees of freedom is 0.7979."""
    found = effect([2.0, 3.0, 4.0], [0.0, 1.0, 2.0])
    assert found is not None and found.g == pytest.approx(2 * 0.797885, abs=1e-5)
    mirrored = effect([0.0, 1.0, 2.0], [2.0, 3.0, 4.0])
    assert mirrored is not None and (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_there_is_none_without_spread_or_a_second_run() -> None:
    assert effect([1.0], [2.0, 3.0]) is None and effect([1.0, 1.0], [2.0, 2.0]) is None


def test_the_bounds_invert_the_noncentral_t() -> None:
    """At each bound, a statistic as far as the one that was seen has a chance of 2.5 %. Drawn, not computed."""
    a, b = [0.0, 0.6, 1.5, 1.9], [-1.0, 0.3, -0.2]
    found = effect(a, b)
    assert found is not None
    correction = 0.8407487  # of 5 degrees of freedom (Hedges 1981, table 1)
    draw, seen = np.random.default_rng(0), found.g / correction
    one, other = draw.normal(size=(200_000, 4)), draw.normal(size=(200_000, 3))
    for bound, beyond in ((found.low, np.greater), (found.high, np.less)):
        shifted = one + bound / correction
        std = np.sqrt((3 * shifted.var(1, ddof=1) + 2 * other.var(1, ddof=1)) / 5)
        d = (shifted.mean(1) - other.mean(1)) / std
        assert np.mean(beyond(d, seen)) == pytest.approx(0.025, abs=0.0015)


@pytest.mark.parametrize("far", [0.0, 30.0, 3000.0])
def test_far_samples_have_a_finite_interval(far: float) -> None:
    found = effect([far, far + 1, far + 2], [0.0, 1.0, 2.5])
    assert found is not None and found.low < found.g < found.high and np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("gap", [1e3, 1e5, 1e7, 1e10])
def test_the_interval_of_very_far_samples_is_that_of_the_spread(n: int, gap: float) -> None:
    """Before: scipy's noncentral t ended at about 5e4 standard deviations, so g was outside of its interval."""
    one = [float(value) for value in range(n)]
    found = effect([value + gap for value in one], one)
    assert found is not None
    # Only the spread is then in doubt: its square is of the chi-squared distribution.
    low, high = (found.g * np.sqrt(stats.chi2.ppf(share, 2 * n - 2) / (2 * n - 2)) for share in (0.025, 0.975))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-4)
    assert found.low < found.g < found.high


def test_the_interval_is_continuous_where_its_formula_changes() -> None:
    unit = np.sqrt(2 / 3)  # three runs each, with a variance of 1
    near, far = (effect([t * unit + each for each in (-1.0, 0.0, 1.0)], [-1.0, 0.0, 1.0]) for t in (9999.9, 10000.1))
    assert near is not None and far is not None
    assert (far.low, far.high) == pytest.approx((near.low, near.high), rel=3e-5)
