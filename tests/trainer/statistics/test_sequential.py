"""The test that may look after every seed: its boundaries, its error, its seeds."""

from typing import Any

import numpy as np
import pytest
from scipy import special
from sequential_tables import fixed_seeds, outcomes, rate_of_errors, sequential

from trainer.statistics.sequential import EQUIVALENT, Decision, Design, boundary, decide, follow, runs_taken

SEVERAL = ("normal", "exponential", "t, 3 df", "spreads 1 to 3")


def allowed(runs: int) -> float:
    """5%, and three standard errors of a simulation."""
    return 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_the_first_boundary_is_the_quantile_and_a_random_walk_crosses_them_as_often_as_it_should() -> None:
    bounds = boundary(0.05, (1, 2, 3, 4, 5))
    assert bounds[0] == pytest.approx(-special.ndtri(0.005))
    walk = np.random.default_rng(0).standard_normal((400_000, 5)).cumsum(axis=1) / np.sqrt([1, 2, 3, 4, 5])
    crossed = np.abs(walk) >= bounds
    spent = [crossed[:, : n + 1].any(axis=1).mean() for n in range(5)]
    assert spent == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05], abs=0.001)
    one_sided = boundary(0.05, (3, 5, 9), one_sided=True)
    walk = np.random.default_rng(1).standard_normal((400_000, 9)).cumsum(axis=1)[:, [2, 4, 8]] / np.sqrt([3, 5, 9])
    assert (walk >= one_sided).any(axis=1).mean() == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize("kind", SEVERAL)
@pytest.mark.parametrize(("count", "seeds", "runs"), [(2, 10, 6000), (2, 22, 3000), (5, 10, 2000), (10, 22, 400)])
def test_equal_configurations_are_called_different_in_at_most_5_percent_of_whole_sweeps(
    kind: str, count: int, seeds: int, runs: int
) -> None:
    values = outcomes(kind, runs=runs, count=count, seeds=seeds)
    assert rate_of_errors(follow(values, Design("all-pairs", at_most=seeds))) <= allowed(runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEVERAL)
@pytest.mark.parametrize(("count", "runs"), [(2, 60_000), (5, 20_000), (10, 6000)])
@pytest.mark.parametrize("seeds", [5, 10, 22])
def test_they_are_not_in_a_long_simulation_either(kind: str, count: int, runs: int, seeds: int) -> None:
    values = outcomes(kind, runs=runs, count=count, seeds=seeds)
    assert rate_of_errors(follow(values, Design("all-pairs", at_most=seeds))) <= allowed(runs)


@pytest.mark.parametrize(("count", "runs"), [(2, 2000), (5, 1000)])
def test_a_clear_winner_is_found_with_far_fewer_runs_than_by_a_design_of_equal_power_at_one_deviation(
    count: int, runs: int
) -> None:
    """The fixed design has to be chosen before the difference is known, and is as good at one standard deviation."""
    found = {deviations: sequential(count, runs, deviations) for deviations in (1, 2, 3)}
    fixed = fixed_seeds(count, runs, 1, found[1][0])
    assert fixed
    assert found[2][0] > 0.95
    assert found[2][1] < 0.7 * count * fixed
    assert found[3][1] < 0.5 * count * fixed


def test_at_the_margin_s_border_at_most_5_percent_are_called_equivalent() -> None:
    for kind in ("normal", "exponential", "spreads 1 to 3"):
        values = outcomes(kind, runs=4000, count=2, seeds=15)
        values[:, 0] += 1.5
        course = follow(values, Design("all-pairs", at_most=15, margin=1.5))
        assert (course.verdicts == EQUIVALENT).mean() <= allowed(4000)


def test_configurations_without_a_difference_are_equivalent_within_a_wide_margin() -> None:
    course = follow(outcomes("normal", runs=500, count=2, seeds=20), Design(at_most=20, margin=2.0))
    assert (course.verdicts == EQUIVALENT).mean() > 0.9
    assert course.done.all()


def test_later_seeds_change_no_earlier_decision() -> None:
    values = outcomes("normal", runs=200, count=4, seeds=12)
    values[:, 0] += 2
    design = Design("best", at_most=12, margin=1.0)
    whole = follow(values, design)
    for n in (3, 5, 8):
        part = follow(values[:, :, :n], design)
        early = (whole.decided_at > 0) & (whole.decided_at <= n)
        assert (part.verdicts[early] == whole.verdicts[early]).all()
        assert (part.verdicts[~early] == 0).all()
    decisions, _ = decide({"a": [3, 3.1, 2.9, 3.0], "b": [1, 1.1, 0.9], "c": [1, 1.2, 0.8]}, Design())
    assert {(d.a, d.b, d.verdict) for d in decisions if d.a == "a"} == {
        ("a", "b", "different"),
        ("a", "c", "different"),
    }


def test_the_best_is_the_lowest_if_the_metric_says_so() -> None:
    low, high = [0.10, 0.11, 0.09, 0.10], [0.50, 0.51, 0.49, 0.50]
    assert decide({"a": low, "b": high}, Design(highest=False))[1] == []
    equal = {"a": low, "b": [x + 0.001 for x in low], "c": high}
    assert decide(equal, Design(highest=False))[1] == ["a", "b"], "the beaten one gets no further seed"
    assert decide(equal, Design(highest=True))[1] == []


def test_against_a_control_only_its_pairs_are_tested() -> None:
    samples = {"a": [1.0, 1.1, 0.9], "b": [5.0, 5.1, 4.9], "c": [1.0, 1.2, 0.8]}
    decisions, still = decide(samples, Design("against", "b", ((0, 1), (1, 2))))
    assert [(d.a, d.b, d.higher) for d in decisions] == [("a", "b", "b"), ("b", "c", "b")]
    assert still == []


def test_a_configuration_that_has_no_seeds_left_keeps_no_other_from_being_decided() -> None:
    samples = {"a": [5.0, 5.1, 4.9, 5.0], "b": [1.0], "c": [1.0, 1.1, 0.9, 1.0]}
    assert {d.verdict for d in decide(samples, Design())[0]} == {"open"}
    decisions, still = decide(samples, Design(), spent=["b"])
    assert {(d.a, d.b): d.verdict for d in decisions} == {
        ("a", "b"): "open",
        ("a", "c"): "different",
        ("b", "c"): "open",
    }
    assert still == []


@pytest.mark.parametrize("margin", [None, 3.0])
@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (98.1, 98.2)])
def test_runs_without_any_spread_decide_nothing(a: float, b: float, margin: float | None) -> None:
    """Before: three times 98.1 has a mean that is not 98.1, so a variance above 0."""
    decisions, still = decide({"a": [a] * 4, "b": [b] * 4}, Design(margin=margin))
    assert [d.verdict for d in decisions] == ["open"]
    assert still == ["a", "b"]


def test_nothing_is_decided_before_the_first_look_and_nothing_is_open_after_the_last() -> None:
    assert decide({"a": [1.0, 2.0], "b": [3.0, 4.0]}, Design())[1] == ["a", "b"]
    assert decide({"a": [1.0, 2.0, 3.0], "b": [1.1, 2.0, 3.0]}, Design(at_most=3))[1] == []
    assert decide({"a": [1.0, 2.0, 3.0], "b": []}, Design())[1] == ["a", "b"]


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ({"margin": 0.0}, "--margin: 0: expected a difference above 0"),
        ({"margin": float("nan")}, "--margin: nan"),
        ({"margin": float("inf")}, "--margin: inf: expected a difference above 0"),
        ({"at_least": 5, "at_most": 4}, "--at-most: 4 is under --at-least 5"),
        ({"at_least": 1}, "--at-least: 1: a spread needs two seeds"),
    ],
)
def test_a_design_that_cannot_decide_is_refused(wish: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Design(**wish)


def test_one_configuration_has_nothing_to_decide() -> None:
    with pytest.raises(ValueError, match="a sweep with one configuration has nothing to decide"):
        decide({"a": [1.0, 2.0, 3.0]}, Design())


def test_the_runs_that_decisions_took_are_those_that_were_looked_at() -> None:
    yes = [True] * 9
    decisions = [Decision("a", "b", "different", "a", 3), Decision("a", "c", "open", None, 5)]
    design = Design(at_least=3, at_most=6)
    assert runs_taken({"a": yes, "b": yes, "c": yes}, decisions, [], design) == 5 + 3 + 5
    assert runs_taken({"a": yes, "b": yes, "c": yes[:5]}, decisions, ["a", "c"], design) == 6 + 3 + 5
    failed = [True, False, True, True, True, False, True, True]
    assert runs_taken({"a": failed, "b": failed, "c": [*yes[:5], False]}, decisions, [], design) == 7 + 4 + 6
    assert runs_taken({"a": yes, "b": []}, [], ["a", "b"], design) == 3, "for a first look"
