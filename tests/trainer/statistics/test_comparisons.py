"""Comparisons with the best and with a control, against printed tables and scipy."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from trainer.statistics.comparisons import dunnett_p, dunnett_quantile, pooled, top_group, with_best, with_control
from trainer.statistics.describe import LEVEL
from trainer.statistics.differences import welch

EQUAL = math.sqrt(0.5)  # sqrt(n / (n + n))


def table(*means: float, spread: float = 1.0, n: int = 3) -> dict[str, dict[int, float]]:
    """Samples a, b, c, ... of n values around these means, each with `spread` between neighbours."""
    steps = [spread * (seed - (n - 1) / 2) for seed in range(n)]
    return {chr(97 + k): dict(enumerate(mean + step for step in steps)) for k, mean in enumerate(means)}


@pytest.mark.parametrize(
    ("others", "df", "one_sided", "two_sided"), [(1, 5, 2.02, 2.57), (3, 12, 2.29, 2.68), (9, 20, 2.60, 2.95)]
)
def test_the_quantiles_are_those_of_printed_tables(others: int, df: int, one_sided: float, two_sided: float) -> None:
    """Dunnett, Biometrics 20 (1964), table II for two sides; JASA 50 (1955), table 1a for one side, joint 95 %."""
    assert dunnett_quantile((EQUAL,) * others, df, two_sided=False) == pytest.approx(one_sided, abs=0.01)
    assert dunnett_quantile((EQUAL,) * others, df, two_sided=True) == pytest.approx(two_sided, abs=0.01)


@pytest.mark.parametrize("two_sided", [True, False])
def test_p_is_that_of_scipys_dunnett_with_unequal_numbers_of_runs(two_sided: bool) -> None:
    random = np.random.default_rng(1)
    control = random.normal(size=6)
    samples = [random.normal(size=n) + shift for n, shift in ((5, 0.0), (3, 1.0), (4, 1.0))]
    alternative = "two-sided" if two_sided else "greater"
    known: Any = stats.dunnett(*samples, control=control, alternative=alternative, rng=np.random.default_rng(0))
    shares = [math.sqrt(len(sample) / (len(sample) + 6)) for sample in samples]
    for t, p in zip(known.statistic, known.pvalue, strict=True):
        size = abs(t) if two_sided else t
        assert dunnett_p(size, shares, 14, two_sided=two_sided) == pytest.approx(p, abs=2e-3)


def test_with_two_configurations_the_comparison_is_welchs_test() -> None:
    samples = {"a": dict(enumerate([1.0, 2.0, 4.0])), "b": dict(enumerate([5.0, 5.5, 5.6, 5.7]))}
    known = welch([*samples["a"].values()], [*samples["b"].values()])
    for found in (with_best(samples), with_control(samples, "b")):
        (only,) = found
        assert (only.name, only.p, only.low, only.high) == ("a", known.p, known.low, known.high)


def test_thirteen_configurations_of_three_seeds_have_an_answer_if_one_leads_by_far() -> None:
    """Before: 78 pairs after Holm, and `sure` in 1 % of tables with a lead of ten standard deviations."""
    samples = table(10.0, *[0.0] * 12)
    assert top_group(samples, with_best(samples)) == ["a"]
    assert all((each.finding, each.high) == ("not the best", 0) for each in with_best(samples))


def test_p_is_the_larger_one_of_two_tests() -> None:
    """With equal spreads the correction decides, with a wide one Welch's test."""
    equal = table(3.0, 0.0, 0.5, 0.2, n=5)
    noise = pooled(equal)
    assert noise and (noise.df, noise.variance) == (16, pytest.approx(2.5))
    found = {each.name: each for each in with_best(equal)}
    t = 2.5 / math.sqrt(2.5 * 2 / 5)
    assert found["c"].p == pytest.approx(max(dunnett_p(t, (EQUAL,) * 3, 16, two_sided=False), welch(
        [*equal["c"].values()], [*equal["a"].values()]).p or 0))  # fmt: skip
    wide = {**table(3.0, 0.0, 0.0, spread=0.1, n=5), "wide": dict(enumerate([-9.0, 9.0, -4.0, 4.0, 0.5]))}
    found = {each.name: each for each in with_best(wide)}
    assert found["wide"].p == pytest.approx(welch([*wide["wide"].values()], [*wide["a"].values()]).p)


def test_two_runs_or_no_spread_are_undecided_in_a_table_too() -> None:
    """Before: two samples of two values, or without spread, could be sure."""
    assert [each.finding for each in with_best(table(9.0, 0.0, n=2))] == ["undecided"]
    flat = {name: dict.fromkeys(range(3), mean) for name, mean in (("a", 9.0), ("b", 1.0))}
    assert [each.finding for each in with_best(flat)] == ["undecided"]
    assert [each.p for each in with_control(flat, "b")] == [None]


def test_identical_results_are_one_observation_and_no_loser() -> None:
    samples = table(5.0, 5.0, 0.0)
    assert {each.name: each.finding for each in with_best(samples)} == {"b": "identical", "c": "lower"}  # of two
    noise = pooled(samples)
    assert noise and noise.df == 4


def test_the_lowest_is_best_where_that_is_asked() -> None:
    samples = table(0.0, 9.0, 9.5)
    assert {each.name: each.finding for each in with_best(samples, highest=False)} == {
        "b": "not the best",
        "c": "not the best",
    }
    assert [each.low for each in with_best(samples, highest=False)] == [0, 0]


def test_of_several_configurations_the_best_in_the_data_is_not_called_different() -> None:
    """It was found in the same runs. What is shown is that another one is at least as good as the others."""
    samples = table(5.0, 4.8, 0.0, 0.4, n=5)
    found = {each.name: each for each in with_best(samples)}
    assert {name: each.finding for name, each in found.items()} == {
        "b": "not significant",
        "c": "not the best",
        "d": "not the best",
    }
    assert {each.finding for each in with_best({name: samples[name] for name in "ac"})} == {"lower"}


def test_the_best_of_three_was_picked_among_three_also_if_one_has_two_runs() -> None:
    """Before: it was tested as one of two, and the other one was called lower."""
    samples = table(5.0, 0.0, 4.9)
    short = samples | {"c": {seed: samples["c"][seed] for seed in range(2)}}
    found = {each.name: each for each in with_best(short)}
    assert {name: each.finding for name, each in found.items()} == {"b": "not the best", "c": "undecided"}
    assert found["b"].high == 0.0
    assert {each.name: each.finding for each in with_control(short, "a")} == {"b": "lower", "c": "undecided"}


def test_bounds_are_hsus_constrained_ones() -> None:
    """Of a configuration minus the best of all others, which may be each of the top group: Hsu 1984."""
    samples = table(5.0, 4.5, 0.0, 1.0, n=5)
    error = math.sqrt(2.5 * 2 / 5)
    half = {each.name: each for each in with_best(samples)}
    critical = dunnett_quantile((EQUAL,) * 3, 16, two_sided=False) * error
    width = max(critical, stats.t.ppf(0.975, 8) * error)  # Welch's, of two equal spreads
    assert (half["b"].low, half["b"].high) == (pytest.approx(-0.5 - width), pytest.approx(-0.5 + width))
    assert (half["c"].low, half["c"].high) == (pytest.approx(-5.0 - width), 0)
    mirrored = {name: {seed: -value for seed, value in each.items()} for name, each in samples.items()}
    for each in with_best(mirrored, highest=False):
        assert (each.low, each.high) == (
            pytest.approx(-(half[each.name].high or 0)),
            pytest.approx(-(half[each.name].low or 0)),
        )


def test_a_control_is_compared_in_both_directions() -> None:
    samples = table(0.0, 9.0, -9.0, 0.5)
    found = {each.name: each for each in with_control(samples, "a")}
    assert {name: each.finding for name, each in found.items()} == {
        "b": "higher",
        "c": "lower",
        "d": "not significant",
    }
    middle = found["d"]
    assert middle.p is not None and middle.p > LEVEL and middle.low is not None and middle.high is not None
    assert (middle.low + middle.high) / 2 == pytest.approx(0.5)
    assert with_control(samples, "z") == []
