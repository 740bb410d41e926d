"""Failure as an outcome: at chance, shares with exact intervals and tests, two humps."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from trainer.statistics.failures import at_chance, exact_p, failures, resolution_of, two_humped


@pytest.mark.parametrize(("failed", "n"), [(0, 5), (3, 7), (5, 5)])
def test_the_interval_is_that_of_scipys_binomial_test(failed: int, n: int) -> None:
    (found,) = failures({"a": (failed, n)})
    known = stats.binomtest(failed, n).proportion_ci(method="exact")
    assert (found.low, found.high) == (pytest.approx(known.low), pytest.approx(known.high))


@pytest.mark.parametrize(("right", "expected"), [(1000, True), (1094, True), (1095, False), (9000, False), (0, True)])
def test_chance_is_what_the_exact_binomial_test_does_not_exceed(right: int, expected: bool) -> None:
    p = stats.binomtest(right, 10_000, 0.1, alternative="greater").pvalue
    assert at_chance(right / 10_000, images=10_000, classes=10) is expected is bool(p >= 0.001)


def test_a_share_has_the_interval_of_clopper_and_pearson() -> None:
    """Two of five: 5.27 % to 85.34 %, in any printed table."""
    (found,) = failures({"a": (2, 5)})
    assert (found.low, found.high, found.p) == (pytest.approx(0.0527, abs=1e-4), pytest.approx(0.8534, abs=1e-4), None)


def test_configurations_are_compared_by_an_exact_test() -> None:
    """All of five against none: twice (1/2)^10 by Boschloo, where Fisher's test has 2 / 252."""
    found = {each.name: each for each in failures({"none": (0, 5), "all": (5, 5), "empty": (0, 0)})}
    assert found.keys() == {"none", "all"}
    assert found["all"].p == pytest.approx(2 * 0.5**10, rel=0.01) and found["none"].p is None
    corrected = {each.name: each.p for each in failures({"none": (0, 5), "all": (5, 5), "half": (2, 5)})}
    assert corrected["all"] == pytest.approx(6 * 0.5**10, rel=0.01)  # of three pairs
    assert failures({}) == []


def of_runs(runs: Sequence[float]) -> bool:
    return two_humped(dict(enumerate(runs)), resolution=resolution_of(runs))


def test_a_control_that_was_named_before_is_what_shares_are_compared_with() -> None:
    counts = {"none": (0, 5), "all": (5, 5), "control": (1, 5), "other": (4, 5)}
    found = {each.name: each for each in failures(counts, dict.fromkeys(counts, "control"))}
    assert found["all"].p == pytest.approx(3 * exact_p((5, 5), (1, 5)))
    assert {each.against for name, each in found.items() if name != "control"} == {"control"}
    assert (found["control"].p, found["control"].against) == (None, "")
    families = {"all": "none", "none": "none", "other": "control", "control": "control"}
    found = {each.name: each for each in failures(counts, families)}
    assert found["all"].p == exact_p((5, 5), (0, 5)) and found["other"].p == exact_p((4, 5), (1, 5))
    del counts["control"]
    assert {each.p for each in failures(counts, dict.fromkeys(counts, "control"))} == {None}


@pytest.mark.parametrize(("k", "n", "share"), [(6, 10, 0.4), (13, 10, 0.3), (13, 20, 0.3)])
def test_of_equal_shares_one_is_called_another_in_at_most_five_percent(k: int, n: int, share: float) -> None:
    """Before, the smallest share was picked from the runs and p was for k - 1 pairs: 8 to 16 % of tables."""
    sweeps, wrong = 400, 0
    for failed in np.random.default_rng(1).binomial(n, share, size=(sweeps, k)).tolist():
        found = failures({str(name): (count, n) for name, count in enumerate(failed)})
        wrong += any(each.p is not None and each.p < 0.05 for each in found)
    assert wrong / sweeps <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / sweeps)


def test_two_humps_are_a_gap_that_normal_samples_do_not_have() -> None:
    assert two_humped(dict(enumerate([45.0, 45.2, 91.0, 91.3, 91.1])))
    assert not two_humped(dict(enumerate([90.8, 91.0, 91.3, 91.1, 90.7])))
    assert not two_humped({0: 10.0, 1: 91.0, 2: 91.1})  # three values cannot show it
    assert not two_humped(dict.fromkeys(range(5), 91.0))


@pytest.mark.parametrize("n", [4, 5, 10])
def test_one_normal_sample_in_a_hundred_is_called_two_humped(n: int) -> None:
    draw = np.random.default_rng(7).normal(size=(4000, n))
    found = np.mean([two_humped(dict(enumerate(row))) for row in draw.tolist()])
    assert found == pytest.approx(0.01, abs=4 * np.sqrt(0.01 * 0.99 / 4000))


@pytest.mark.parametrize("n", [4, 5, 10])
@pytest.mark.parametrize(("std", "images"), [(0.1, 10_000), (0.03, 10_000), (0.1, 2000), (0.05, 2000), (0.02, 2000)])
def test_no_more_samples_of_whole_images_are_called_so(n: int, std: float, images: int) -> None:
    """Before: the border is that of numbers without ties, and 1 to 52 in a hundred of these samples were."""
    right = np.random.default_rng(3).normal(0.9 * images, std / 100 * images, size=(2000, n)).round()
    assert np.mean([of_runs(runs) for runs in (100 * right / images).tolist()]) < 0.01 + 4 * np.sqrt(0.01 * 0.99 / 2000)


def test_values_next_to_each_other_on_their_grid_are_one_group() -> None:
    assert not of_runs([3, 4, 3, 4]) and not of_runs([3, 5, 3, 5]) and not of_runs([90.1, 90.1, 90.1, 90.11])
    assert not of_runs([90.1, 90.1, 90.1, 90.1 + 1e-13]), "a last bit is no gap"


def test_two_groups_are_found_on_a_grid() -> None:
    assert of_runs([3, 3, 3, 80]) and of_runs([10.0, 10.0, 91.0, 91.3, 91.1])
    assert of_runs([45.0, 45.2, 91.0, 91.3, 91.1]) and of_runs([0.31, 0.312, 2.302585, 2.302585])
    draw = np.random.default_rng(5)
    left = draw.normal(80, 0.1, size=(500, 5)), draw.normal(90, 0.1, size=(500, 5))
    assert np.mean([of_runs(runs) for runs in np.hstack(left).round(2).tolist()]) == 1.0


def test_the_grid_of_values_is_their_smallest_difference() -> None:
    assert resolution_of([90.1, 90.13, 90.1, 90.15]) == pytest.approx(0.02)
    assert resolution_of([3, 40, 3, 40]) == 1, "whole numbers"
    assert resolution_of([0.2, 0.5, 0.7]) == 0, "without ties there is no grid"
    assert resolution_of([]) == resolution_of([1.5, 1.5]) == 0
