"""Seed-wise ratios and differences, against closed forms and scipy's own tests."""

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from scipy import stats

from trainer.statistics.seedwise import factor, seedwise, smallest_found

T2 = 4.302652729911275  # 97.5 % point of Student's t with 2 degrees of freedom


def test_a_ratio_is_the_geometric_mean_of_the_seeds_quotients() -> None:
    """Log ratios 0, log 2, log 4: mean log 2, standard deviation log 2."""
    found = seedwise({0: 1.0, 1: 2.0, 2: 12.0}, {0: 1.0, 1: 1.0, 2: 3.0}, "ratio")
    half = T2 * math.log(2) / math.sqrt(3)
    assert (found.scale, found.n, found.paired) == ("ratio", 3, True)
    assert found.estimate == pytest.approx(2)
    assert found.low == pytest.approx(2 * math.exp(-half)) and found.high == pytest.approx(2 * math.exp(half))
    theirs: Any = stats.ttest_1samp([0, math.log(2), math.log(4)], 0)
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.finding == "not significant"


def test_what_all_seeds_share_cancels() -> None:
    """The pairs differ by a factor of 2 +- 1 %, while seeds differ by a factor of 100."""
    a, b = {0: 2.0, 1: 20.2, 2: 198.0}, {0: 1.0, 1: 10.0, 2: 100.0}
    found = seedwise(a, b, "ratio")
    assert found.finding == "higher" and found.low is not None and found.low > 1.9
    assert seedwise(a, {seed + 10: value for seed, value in b.items()}, "ratio").finding == "not significant"


def test_a_ratio_the_other_way_is_its_reciprocal() -> None:
    a, b = {0: 2.0, 1: 3.0, 2: 5.0}, {0: 1.0, 1: 1.0, 2: 2.0}
    one, other = seedwise(a, b, "ratio"), seedwise(b, a, "ratio")
    assert one.high is not None and one.low is not None
    assert (other.estimate, other.low, other.high) == pytest.approx((1 / one.estimate, 1 / one.high, 1 / one.low))
    assert one.p == pytest.approx(other.p)


def test_a_quantity_that_is_not_above_zero_is_compared_by_differences() -> None:
    found = seedwise({0: 0.1, 1: 0.2, 2: 0.3}, {0: -0.1, 1: 0.0, 2: 0.05}, "ratio")
    assert found.scale == "difference"
    assert found.estimate == pytest.approx(0.65 / 3)
    assert found.p == pytest.approx(stats.ttest_rel([0.1, 0.2, 0.3], [-0.1, 0.0, 0.05])[1])


def test_seeds_that_cannot_be_paired_are_welchs_test_of_the_logarithms() -> None:
    a, b = {0: 2.0, 1: 3.0, 2: 5.0}, {3: 1.0, 4: 1.5, 5: 2.0, 6: 1.2}
    found = seedwise(a, b, "ratio")
    theirs: Any = stats.ttest_ind(np.log([*a.values()]), np.log([*b.values()]), equal_var=False)
    bounds = theirs.confidence_interval()
    assert not found.paired and found.n == 3
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx((math.exp(bounds.low), math.exp(bounds.high)))


def test_two_seeds_have_an_interval_and_no_verdict() -> None:
    found = seedwise({0: 0.16814364, 1: 0.15879816}, {0: 0.22670306, 1: 0.17592865}, "ratio")
    assert found.finding == "undecided" and found.estimate == pytest.approx(0.8182, abs=1e-4)
    assert found.low == pytest.approx(0.235, abs=1e-3) and found.high == pytest.approx(2.849, abs=1e-3)


def test_one_seed_and_seeds_that_do_not_vary_are_undecided_and_equal_ones_identical() -> None:
    assert seedwise({0: 2.0}, {0: 1.0}, "ratio").finding == "undecided"
    constant = seedwise({0: 2.0, 1: 2.0, 2: 2.0}, {0: 1.0, 1: 1.0, 2: 1.0}, "ratio")
    assert (constant.finding, constant.low, constant.p) == ("undecided", None, None)
    last_bit = seedwise({0: 99.0, 1: 99.99, 2: 100.98}, {0: 101.0, 1: 102.01, 2: 103.02}, "ratio")
    assert (last_bit.finding, last_bit.p) == ("undecided", None)
    assert seedwise({0: 2.0, 1: 3.0}, {0: 2.0, 1: 3.0}, "ratio").finding == "identical"


def test_several_comparisons_share_the_level() -> None:
    a, b = {0: 1.0, 1: 2.0, 2: 12.0}, {0: 1.0, 1: 1.0, 2: 3.0}
    one, of_three = seedwise(a, b, "ratio"), seedwise(a, b, "ratio", comparisons=3)
    assert one.p is not None and of_three.p == pytest.approx(3 * one.p)
    half = float(stats.t.ppf(1 - 0.025 / 3, 2)) * math.log(2) / math.sqrt(3)
    assert of_three.high == pytest.approx(2 * math.exp(half))


@pytest.mark.parametrize(("a", "b"), [(1e5, 1.0), (1.0, 1e5)])
@pytest.mark.parametrize("paired", [True, False])
def test_a_bound_that_no_float_holds_leaves_no_interval(a: float, b: float, paired: bool) -> None:
    """Before: an OverflowError, which left no report; or a low bound of 0, whose logarithm is none."""
    seeds = (0, 1) if paired else (2, 3)
    found = seedwise({0: a, 1: 1.0}, dict(zip(seeds, (b, 1.1), strict=True)), "ratio", comparisons=12)
    assert found.paired == paired and (found.low, found.high) == (None, None)
    assert found.log == (pytest.approx(math.log(found.estimate)), None, None)
    assert found.p == 1 and json.dumps(asdict(found), allow_nan=False)


@pytest.mark.parametrize(("a", "b"), [(1e300, 1e-300), (1e-300, 1e300)])
def test_a_ratio_that_no_float_holds_is_a_difference(a: float, b: float) -> None:
    found = seedwise({0: a, 1: a}, {0: b, 1: b}, "ratio")
    assert (found.scale, abs(found.estimate)) == ("difference", 1e300)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_smallest_ratio_is_found_in_four_of_five_sweeps(n: int) -> None:
    lead = smallest_found(0.3, n)
    assert lead is not None
    draws = np.random.default_rng(0).normal(lead, 0.3, size=(20_000, n))
    tests: Any = stats.ttest_1samp(draws, 0, axis=1)
    found = np.mean((tests.pvalue < 0.05) & (draws.mean(1) > 0))
    assert found == pytest.approx(0.8, abs=0.01)
    assert smallest_found(0.3, 2) is None and smallest_found(0.0, 5) is None


def test_a_factor_that_no_float_holds_is_said_to_be_one() -> None:
    assert [factor(value) for value in (0.0, math.log(0.5), -800.0)] == ["1", "0.5", "0"]
    assert factor(710.0) == "more than a number holds"
