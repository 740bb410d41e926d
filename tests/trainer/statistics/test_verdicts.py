"""Verdicts of a comparison: by hand, and how often they are wrong in simulated sweeps."""

import math

import numpy as np
import pytest
from scipy import special

from trainer.statistics.comparisons import with_best, with_control
from trainer.statistics.describe import LEVEL
from trainer.statistics.differences import holm
from trainer.statistics.verdicts import p_within, seeds_to_decide, verdicts

TABLE = {
    "a": dict(enumerate([90.0, 90.1, 90.2, 90.1])),
    "same": dict(enumerate([90.05, 90.15, 90.1, 90.0])),
    "near": dict(enumerate([89.9, 90.0, 90.1, 89.8])),
    "far": dict(enumerate([85.0, 85.1, 85.2, 85.0])),
    "twin": dict(enumerate([90.0, 90.1, 90.2, 90.1])),
}


def test_the_words_are_different_equivalent_identical_and_undecided() -> None:
    found = verdicts(TABLE, with_control(TABLE, "a"), "a", margin=0.3, two_sided=True)
    assert {name: each.word for name, each in found.items()} == {
        "same": "equivalent", "near": "undecided", "far": "different", "twin": "identical",
    }  # fmt: skip
    assert found["near"].seeds is not None and found["near"].seeds > 4 and found["same"].seeds is None
    assert {name for name, each in found.items() if each.within} == {"same", "twin"}


def test_without_a_margin_nothing_is_equivalent() -> None:
    found = verdicts(TABLE, with_best(TABLE), "a", margin=None, two_sided=False)
    assert found["same"].word == "undecided" and found["same"].p_within is None


def test_of_several_with_the_best_the_words_are_not_the_best() -> None:
    found = verdicts(TABLE, with_best(TABLE), "a", margin=0.3, two_sided=False)
    assert {name: each.word for name, each in found.items()} == {
        "same": "equivalent", "near": "undecided", "far": "not the best", "twin": "identical",
    }  # fmt: skip
    two = {name: TABLE[name] for name in ("a", "far")}
    assert [each.word for each in verdicts(two, with_best(two), "a", margin=None, two_sided=False).values()] == [
        "different"
    ]


def test_a_difference_may_be_significant_and_smaller_than_the_margin() -> None:
    samples = {"a": TABLE["a"], "lower": dict(enumerate([89.8, 89.9, 90.0, 89.7]))}
    (found,) = verdicts(samples, with_control(samples, "a"), "a", margin=2.0, two_sided=True).values()
    assert (found.word, found.within) == ("different", True)


def test_p_of_two_configurations_is_that_of_two_one_sided_welch_tests() -> None:
    a, b = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.5, 2.0, 3.0])
    samples = {"a": dict(enumerate(a.tolist())), "b": dict(enumerate(b.tolist()))}
    (found,) = verdicts(samples, with_control(samples, "b"), "b", margin=1.0, two_sided=True).values()
    shares = a.var(ddof=1) / 3, b.var(ddof=1) / 4
    df = sum(shares) ** 2 / (shares[0] ** 2 / 2 + shares[1] ** 2 / 3)
    t = (a.mean() - b.mean() - 1.0) / math.sqrt(sum(shares))
    assert found.p_within == pytest.approx(special.stdtr(df, t))


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_is_above_zero(margin: float) -> None:
    with pytest.raises(ValueError, match="expected a difference above 0"):
        verdicts(TABLE, with_best(TABLE), "a", margin=margin, two_sided=False)


@pytest.mark.parametrize(("wide", "kind"), [(1.0, "normal"), (3.0, "normal"), (1.0, "skewed")])
@pytest.mark.parametrize(("k", "n"), [(2, 3), (2, 10), (5, 5), (13, 3)])
def test_at_the_border_of_the_margin_at_most_five_percent_of_tables_call_a_pair_equivalent(
    wide: float, kind: str, k: int, n: int
) -> None:
    sweeps, margin = 20_000, 1.5
    random = np.random.default_rng(0)
    shape = (sweeps, k, n)
    noise = random.normal(size=shape) if kind == "normal" else random.exponential(size=shape) - 1
    stds = np.where(np.arange(k) == k - 1, wide, 1.0)
    runs = noise * stds[:, None] + np.where(np.arange(k) > 0, margin, 0.0)[:, None]
    means, variances = runs.mean(-1), runs.var(-1, ddof=1)
    difference, first, others = means[:, 1:] - means[:, :1], variances[:, :1] / n, variances[:, 1:] / n
    df = (n - 1) * (first + others) ** 2 / (first**2 + others**2)
    p = p_within(difference, np.sqrt(first + others), df, margin)
    if k > 2:
        pooled = np.sqrt(2 * variances.mean(-1, keepdims=True) / n)
        p = np.maximum(p, p_within(difference, pooled, k * (n - 1), margin))
    wrong = np.mean((holm(p) < LEVEL).any(-1))
    assert wrong <= LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / sweeps)
    for sweep in range(20):  # the rule above is that of a report
        samples = {str(name): dict(enumerate(row)) for name, row in enumerate(runs[sweep].tolist())}
        found = verdicts(samples, with_control(samples, "0"), "0", margin=margin, two_sided=True)
        assert [each.p_within for each in found.values()] == pytest.approx(holm(p[sweep]).tolist())


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize(("difference", "comparisons", "margin"), [(1.0, 1, None), (2.0, 4, None), (0.2, 4, 1.5)])
def test_so_many_seeds_decide_eighty_percent(
    difference: float, comparisons: int, margin: float | None, two_sided: bool
) -> None:
    n = seeds_to_decide(difference, comparisons, margin, two_sided=two_sided)
    assert n is not None
    random, decided = np.random.default_rng(1), 0
    for _ in range(300):
        table = random.normal(size=(comparisons + 1, n))
        table[1] += difference
        table[2:] -= 100  # never the best, and never equivalent, which would leave its share of the 5 %
        if not two_sided:
            table[1] = -table[1]
        samples = {str(name): dict(enumerate(row)) for name, row in enumerate(table.tolist())}
        against = with_control(samples, "0") if two_sided else with_best(samples)
        reference = "0" if two_sided else next(name for name in "01" if name not in {each.name for each in against})
        found = verdicts(samples, against, reference, margin=margin, two_sided=two_sided)
        decided += found["1" if reference == "0" else "0"].word in ("different", "not the best", "equivalent")
    assert decided / 300 == pytest.approx(0.80, abs=0.09)  # n is a whole number
