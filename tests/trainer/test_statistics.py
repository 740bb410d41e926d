"""Against printed examples, scipy's own tests where they have one, and simulations of what a level promises."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from trainer.statistics.comparisons import top_group, with_best
from trainer.statistics.describe import (
    LEVEL,
    describe,
    prediction_half_width,
    prediction_interval,
    prediction_of_difference,
    prediction_p,
    rounding_of,
    verdict,
)
from trainer.statistics.differences import all_pairs, contrast, holm, paired, welch
from trainer.statistics.joint import joint
from trainer.statistics.seedwise import seedwise
from trainer.statistics.table import agreement, noise_floor

# The first and third example of the article "Welch's t-test" of Wikipedia, with the statistics that it prints.
A1 = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
A2 = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_the_mean_and_its_interval_are_scipys() -> None:
    found = describe(A1)
    assert found
    low, high = stats.t.interval(0.95, len(A1) - 1, loc=np.mean(A1), scale=stats.sem(A1))
    assert (found.n, found.mean, found.std) == (15, pytest.approx(np.mean(A1)), pytest.approx(np.std(A1, ddof=1)))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_value_has_no_spread_and_none_has_no_mean() -> None:
    assert describe([1.0]) == describe((1.0,))
    found = describe([1.0])
    assert found and found.std is None and found.low is None
    assert describe([]) is None


def test_welch_on_a_printed_example() -> None:
    found = welch(A1, A2)
    assert found.mean == pytest.approx(20.82 - 22.99, abs=0.01)
    assert found.p == pytest.approx(0.021, abs=5e-4)
    assert found.df == pytest.approx(25.0, abs=0.05)


@pytest.mark.parametrize(("a", "b"), [(A1, A2), (A1[:3], A2), (A1[:2], A2[:2])])
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    known: Any = stats.ttest_ind(a, b, equal_var=False)
    found = welch(a, b)
    interval = known.confidence_interval(0.95)
    assert (found.p, found.df) == (pytest.approx(known.pvalue), pytest.approx(known.df))
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_paired_is_scipys_over_the_seeds_that_both_have() -> None:
    found = paired(by_seed(A1), by_seed(A2[:5]))
    assert found
    known: Any = stats.ttest_rel(A1[:5], A2[:5])
    interval = known.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == (
        pytest.approx(known.pvalue),
        pytest.approx(interval.low),
        pytest.approx(interval.high),
    )
    assert paired(by_seed(A1), {40: 1.0}) is None


@pytest.mark.parametrize("scale", [2.0**-40, 1.0, 2.0**20])  # they keep the digits of the values
def test_pairs_that_differ_by_one_amount_do_not_vary_whatever_their_last_bits_are(scale: float) -> None:
    a, b = ([scale * value for value in sample] for sample in ([98.3, 98.2, 98.5], [98.2, 98.1, 98.4]))
    assert len({x - y for x, y in zip(a, b, strict=True)}) > 1
    found, both = paired(by_seed(a), by_seed(b)), seedwise(by_seed(a), by_seed(b), "difference")
    assert found and (found.low, found.p) == (None, None) == (both.low, both.p)
    varied = paired(by_seed(a), by_seed([b[0], b[1], b[2] * (1 + 1e-9)]))
    assert varied and varied.p is not None and varied.p < 0.001
    assert seedwise(by_seed(a), by_seed([b[0], b[1], b[2] * (1 + 1e-9)]), "difference").p == varied.p


def test_holm_on_a_printed_example() -> None:
    """Of the article "Holm-Bonferroni method" of Wikipedia: only H1 and H4 are rejected."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_takes_tables_along_the_last_axis() -> None:
    assert holm([[0.5, 0.9], [0.04, 0.02]]) == pytest.approx(np.array([[1.0, 1.0], [0.04, 0.04]]))
    assert holm([]).tolist() == []


def test_the_prediction_interval_of_three_runs_by_hand() -> None:
    """Mean 91, s = 1, t(2) = 4.3027: 91 +- 4.3027 sqrt(4/3)."""
    half = 4.302653 * math.sqrt(4 / 3)
    assert prediction_interval([90.0, 91.0, 92.0]) == pytest.approx((91 - half, 91 + half), abs=1e-5)
    assert prediction_interval([90.0]) is None


def test_a_verdict_turns_at_the_border_of_the_interval_and_half_a_printed_unit_beyond() -> None:
    runs = [90.0, 91.0, 92.0]
    interval = prediction_interval(runs)
    assert interval
    low, high = interval
    assert verdict(low, runs) == verdict(high, runs) == "consistent"
    assert (verdict(low - 1e-6, runs), verdict(high + 1e-6, runs)) == ("higher", "lower")
    assert verdict(high + 0.004, runs, rounding=rounding_of(2)) == "consistent"
    assert verdict(high + 0.006, runs, rounding=rounding_of(2)) == "lower"


def test_a_verdict_takes_three_runs() -> None:
    assert verdict(10.0, [90.0, 91.0]) == verdict(10.0, []) == "undecided"


def test_runs_that_do_not_vary_have_no_verdict() -> None:
    """Before: `higher` of a figure 0.005 away, as if the next run could not differ by a digit."""
    assert verdict(90.60, [90.61] * 3, rounding=rounding_of(2)) == "undecided"
    assert verdict(90.60, [90.61, 90.61, 90.62], rounding=rounding_of(2)) == "consistent"


@pytest.mark.parametrize(
    ("decimals", "about", "expected"), [(2, None, 0.005), (0, 84, 1.0), (0, 100, 10.0), (0, 45, 1.0), (1, 0.5, 0.1)]
)
def test_about_is_read_to_its_second_digit(decimals: int, about: float | None, expected: float) -> None:
    """Before: about 100 epochs was 99 to 101."""
    assert rounding_of(decimals, about=about) == pytest.approx(expected)


def test_a_figure_printed_as_above_agrees_with_all_runs_above_it() -> None:
    """Before: 'above 88%' was judged as about 88, and runs at 93% were called higher."""
    runs = [93.0, 93.1, 93.2]
    assert (verdict(88.0, runs, rounding=1.0), verdict(88.0, runs, bound=True)) == ("higher", "consistent")
    assert verdict(95.0, runs, bound=True) == "lower"


def test_identical_runs_are_called_so_and_nothing_is_nan() -> None:
    samples = {"constant": by_seed([1.0, 2.0, 3.0]), "plateau": by_seed([1.0, 2.0, 3.0]), "flat": by_seed([4.0] * 3)}
    pairs = {(pair.a, pair.b): pair for pair in all_pairs(samples | {"flat too": by_seed([4.0] * 3)})}
    assert pairs["constant", "plateau"].split == pairs["flat", "flat too"].split == "identical"
    assert not any(math.isnan(pair.difference.p or 0.0) for pair in pairs.values())


def test_two_samples_without_spread_cannot_be_told_apart() -> None:
    """Before: p = 0, significant."""
    (pair,) = all_pairs({"a": by_seed([1.0] * 3), "b": by_seed([2.0] * 3)})
    assert (pair.split, pair.difference.p, pair.difference.low, pair.p_holm) == ("undecided", None, None, None)


def test_two_samples_of_two_values_cannot_be_told_apart() -> None:
    """Before: significant, at p = 0.0001."""
    (pair,) = all_pairs({"a": by_seed([1.0, 1.01]), "b": by_seed([2.0, 2.01])})
    assert pair.split == "undecided"


def test_a_pair_with_one_run_is_undecided_and_no_part_of_the_correction() -> None:
    samples = {"one": by_seed([5.0]), "a": by_seed(A1), "b": by_seed(A2), "none": {}}
    pairs = all_pairs(samples)
    assert [(pair.a, pair.b, pair.split) for pair in pairs] == [
        ("one", "a", "undecided"),
        ("one", "b", "undecided"),
        ("a", "b", "lower"),
    ]
    assert pairs[2].p_holm == pairs[2].difference.p


def test_the_top_group_is_what_is_not_significantly_different_from_the_best() -> None:
    samples = {"low": by_seed([1.0, 1.1, 0.9]), "mid": by_seed([5.0, 5.2, 4.9]), "best": by_seed([5.1, 5.3, 4.9])}
    assert top_group(samples, with_best(samples)) == ["best", "mid"]
    lowest = with_best(samples, highest=False)
    assert top_group(samples, lowest, highest=False) == ["low"]
    assert top_group({}, with_best({})) == []


def test_tau_b_with_ties_by_hand() -> None:
    """Of the six pairs one is tied on the left; the others agree: 5 / sqrt(5 * 6)."""
    found = agreement([1, 1, 2, 3], [1, 2, 3, 4])
    assert found and found.tau == pytest.approx(5 / math.sqrt(30))
    reverse = agreement([1, 2, 3], [3, 2, 1])
    assert reverse and (reverse.tau, reverse.n) == (-1, 3)
    assert agreement([1], [1]) is None and agreement([1, 1], [1, 2]) is None


def test_the_noise_floor_is_the_root_of_the_pooled_variance() -> None:
    found = noise_floor({"a": by_seed([1.0, 3.0]), "b": by_seed([10.0, 12.0, 14.0]), "c": by_seed([7.0])})
    assert found
    assert (found.std, found.df) == (pytest.approx(math.sqrt((2 + 8) / 3)), 3)
    assert found.low < found.std < found.high
    one = noise_floor({"a": by_seed(A1)})
    assert one and one.low == pytest.approx(math.sqrt(14 * np.var(A1, ddof=1) / stats.chi2.ppf(0.975, 14)))
    assert noise_floor({"a": by_seed([1.0]), "b": {}}) is None


def test_unequal_spreads_are_no_one_noise_floor() -> None:
    """Before: one pooled figure, which its own table contradicted."""
    narrow, wide = by_seed([-0.1, 0.0, 0.1, 0.05, -0.05]), by_seed([-10.0, 0.0, 10.0, 5.0, -5.0])
    found = noise_floor({"narrow": narrow, "wide": wide})
    assert found and not found.equal
    assert found.p_equal == pytest.approx(float(stats.bartlett([*narrow.values()], [*wide.values()]).pvalue))
    assert (found.smallest, found.largest) == (pytest.approx(0.0791, abs=1e-4), pytest.approx(7.91, abs=1e-2))
    same = noise_floor({"a": narrow, "b": by_seed([each + 1 for each in narrow.values()])})
    assert same and same.equal


def test_a_difference_of_differences_by_hand() -> None:
    """Equal n and equal variances: Student's t with 4 (n - 1) degrees of freedom and error sqrt(4 s^2 / n)."""
    a, b, c, d = ([mean - 1, mean, mean + 1] for mean in (9.0, 4.0, 3.0, 1.0))
    found = contrast((1, a), (-1, b), (-1, c), (1, d))
    assert (found.mean, found.df) == (3.0, pytest.approx(8))
    assert found.p == pytest.approx(2 * stats.t.sf(3 / math.sqrt(4 / 3), 8))
    assert found.low == pytest.approx(3 - stats.t.ppf(0.975, 8) * math.sqrt(4 / 3))
    assert contrast((1, [1.0, 1.0]), (-1, [2.0, 2.0])).p is None


def test_the_p_value_of_a_published_figure_and_its_verdict_agree() -> None:
    runs = [90.0, 90.5, 91.0]  # mean 90.5, s = 0.5
    error = 0.5 * math.sqrt(4 / 3)
    assert prediction_p(92.0, runs) == pytest.approx(2 * stats.t.sf(1.5 / error, 2))
    assert prediction_p(92.0, runs, rounding=0.5) == pytest.approx(2 * stats.t.sf(1.0 / error, 2))
    assert prediction_p(90.6, runs, rounding=0.5) == 1.0
    assert prediction_p(92.0, [90.0, 90.0, 90.0]) is None
    low, high = prediction_interval(runs) or (0, 0)
    assert (prediction_p(high, runs), prediction_p(low, runs)) == (pytest.approx(0.05), pytest.approx(0.05))


def test_p_values_seen_together() -> None:
    found = joint([0.001, 0.03, 0.3, 0.5, 0.9])
    assert found is not None
    assert (found.n, found.significant, found.expected, found.corrected) == (5, 2, 0.25, 1)  # 0.03 > 0.05 * 2 / 5
    assert found.fifths == (2, 1, 1, 0, 1)
    low, even = joint([0.01, 0.02, 0.05, 0.001, 0.03] * 4), joint([*np.linspace(0.01, 0.99, 20)])
    assert low is not None and even is not None
    assert low.p_uniform < 1e-6 and even.p_uniform > 0.9
    assert joint([]) is None


# What a level of 5 % promises, by simulation; each count within four standard errors of its binomial.

REPEATS = 20_000
ERROR = 4 * math.sqrt(LEVEL * (1 - LEVEL) / REPEATS)


def test_of_equal_configurations_holm_finds_a_difference_in_at_most_five_percent_of_tables() -> None:
    """Six configurations of five seeds with unequal spreads, all of one mean: every difference is false."""
    spread = np.array([1, 1, 1, 2, 2, 3])[:, None, None]
    draw = spread * np.random.default_rng(1).normal(size=(6, 5, REPEATS))
    mean, var = draw.mean(1), draw.var(1, ddof=1)
    left, right = np.triu_indices(6, 1)
    std = np.sqrt(var)
    p = stats.ttest_ind_from_stats(mean[left], std[left], 5, mean[right], std[right], 5, equal_var=False).pvalue
    false_alarms = np.mean((holm(p.T) < LEVEL).any(-1))
    assert false_alarms <= LEVEL + ERROR
    assert np.mean((p < LEVEL).any(0)) > 3 * LEVEL  # without the correction, far more


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_prediction_interval_holds_one_more_run_in_95_percent(n: int) -> None:
    draw = np.random.default_rng(n).normal(size=(n + 1, REPEATS))
    runs, further = draw[:n], draw[n]
    half = prediction_half_width(runs.std(0, ddof=1), n)
    assert np.mean(np.abs(further - runs.mean(0)) <= half) == pytest.approx(0.95, abs=ERROR)


def test_the_predicted_difference_holds_that_of_two_more_runs_in_95_percent() -> None:
    draw = np.random.default_rng(7).normal(size=(2, 6, 2000)) * np.array([1.0, 3.0])[:, None, None]
    inside = 0
    for a, b in zip(draw[0].T, draw[1].T, strict=True):
        interval = prediction_of_difference(a[:5].tolist(), b[:5].tolist())
        assert interval
        inside += interval[0] <= a[5] - b[5] <= interval[1]
    assert inside / 2000 >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / 2000)
