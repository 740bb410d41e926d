"""Claims, tested on runs with chosen figures: each kind of check with each of its outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.published import Experiment, PublishedRow, experiments
from trainer.report.configurations import Configuration
from trainer.report.folders import Run
from trainer.report.published.claims import claims_of
from trainer.report.published.comparisons import Answer, answers_of
from trainer.runs.history import History

STEADY = [-0.1, 0.0, 0.1]


def a_run(seed: int, values: Mapping[str, float], at: Mapping[int, float]) -> Run:
    rows = [{"epoch": float(epoch), "step": epoch, "test/accuracy": value / 100} for epoch, value in at.items()]
    return Run(History(Path(f"s{seed}"), {}, rows, {}, []), seed, "finished", {}, values, {})


def a_point(
    label: str, values: Mapping[str, Sequence[float]], at: Mapping[int, Sequence[float]] | None = None
) -> Configuration:
    """`values`: by measure, a value a seed."""
    count = max([len(each) for each in [*values.values(), *(at or {}).values()]], default=0)
    runs = [
        a_run(
            seed,
            {name: each[seed] for name, each in values.items()},
            {epoch: each[seed] for epoch, each in (at or {}).items()},
        )
        for seed in range(count)
    ]
    return Configuration(label, {}, {}, tuple(runs))


def _row(id: str, name: str) -> PublishedRow:
    return PublishedRow(id, "test", {"row": name}, {})


def outcome(check: Mapping[str, Any], points: Mapping[str, Configuration], *differences: str) -> tuple[str, str]:
    """Return (outcome, reason) of a claim over a table whose rows are identified by `row`."""
    experiment = Experiment(
        "test-t1", "test", "nowhere", "A table", {}, (), ({"text": "a claim", "check": [check]},), ()
    )
    answers = [
        Answer(
            experiment,
            _row("test-t1", name),
            name,
            point,
            tuple(points.values()),
            differences,
            (),
        )
        for name, point in points.items()
    ]
    (claim,) = claims_of(answers)
    return claim.outcome, claim.why


def around(mean: float, spread: Sequence[float] = STEADY) -> list[float]:
    return [mean + each for each in spread]


def accuracies(**means: float) -> dict[str, Configuration]:
    return {name: a_point(name, {"test_acc": around(mean)}) for name, mean in means.items()}


A, B = {"row": "a"}, {"row": "b"}


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(91.0, 90.0, "holds"), (90.0, 91.0, "does not hold"), (90.0, 90.05, "undecided")]
)
def test_above_is_decided_by_welch(a: float, b: float, expected: str) -> None:
    assert outcome({"of": A, "above": B}, accuracies(a=a, b=b))[0] == expected


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [(1.0, "holds"), (1.3, "holds"), (2.0, "does not hold"), (-1.0, "does not hold"), (0.0, "does not hold")],
)
def test_an_amount_holds_where_single_runs_may_differ_by_it(claimed: float, expected: str) -> None:
    """Two runs of s = 0.1 differ by 1 +- t(4) 0.1 sqrt(2 (1 + 1/3)), which is 0.453."""
    assert outcome({"of": A, "over": B, "points": claimed}, accuracies(a=91.0, b=90.0))[0] == expected


def test_an_amount_that_noise_could_make_is_undecided() -> None:
    noisy = {name: a_point(name, {"test_acc": around(mean, [-2, 0, 2])}) for name, mean in (("a", 90.5), ("b", 90.0))}
    assert outcome({"of": A, "over": B, "points": 0.5}, noisy)[0] == "undecided"


def test_about_is_a_whole_unit_of_the_claim() -> None:
    points = accuracies(a=91.0, b=90.0)
    assert outcome({"of": A, "over": B, "points": 2}, points)[0] == "does not hold"
    assert outcome({"of": A, "over": B, "points": 2, "about": True}, points)[0] == "holds"


def test_parameters_are_counted_and_one_run_is_enough() -> None:
    """VGG-A with and without BatchNorm: 5504 more on 9750922 are 0.0564 %, and not the 0.067 that is claimed."""
    points = {"a": a_point("a", {"params": [9756426.0]}), "b": a_point("b", {"params": [9750922.0]})}
    check = {"of": A, "over": B, "measure": "params"}
    assert outcome({**check, "percent": 0.067}, points)[0] == "does not hold"
    assert outcome({**check, "percent": 0.056}, points) == ("holds", "+0.0564%")


@pytest.mark.parametrize(("times", "expected"), [(3, "holds"), (9, "does not hold")])
def test_a_ratio_of_times_is_compared_by_its_own_spread(times: float, expected: str) -> None:
    slow, fast = a_point("a", {"seconds_total": [300, 310, 290]}), a_point("b", {"seconds_total": [100, 104, 97]})
    check = {"of": A, "over": B, "measure": "seconds_total", "times": times}
    assert outcome(check, {"a": slow, "b": fast})[0] == expected


@pytest.mark.parametrize(("level", "expected"), [(93.1, "holds"), (95.0, "does not hold"), (94.0, "undecided")])
def test_a_level_at_an_epoch_is_compared_with_the_interval_of_the_mean(level: float, expected: str) -> None:
    points = {"a": a_point("a", {}, {8: around(94.0), 9: around(99.0)})}
    assert outcome({"of": A, "measure": "test_acc_at 8", "reaches": level}, points)[0] == expected


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({"a": 92.0, "b": 90.0, "c": 91.0}, "holds"),
        ({"a": 91.0, "b": 90.0, "c": 92.0}, "does not hold"),
        ({"a": 92.0, "b": 90.0, "c": 91.95}, "undecided"),
        ({"a": 91.95, "b": 90.0, "c": 92.0}, "undecided"),
    ],
)
def test_the_best_is_apart_from_each_other_row(means: dict[str, float], expected: str) -> None:
    assert outcome({"best": A}, accuracies(**means))[0] == expected


def test_the_best_of_one_row_is_compared_with_the_other_configurations_of_its_sweep() -> None:
    control = a_point("control", {"test_acc": around(89.0), "metric": around(89.0)})
    (best,) = accuracies(a=90.0).values()
    experiment = Experiment("t-1", "t", "", "", {}, (), ({"text": "best", "check": [{"best": A}]},), ())
    answer = Answer(experiment, PublishedRow("t-1", "t", {"row": "a"}, {}), "a", best, (best, control), (), ())
    assert claims_of([answer])[0].outcome == "holds"


def test_a_range_is_that_of_the_best_over_the_worst_row() -> None:
    points = accuracies(a=92.0, b=90.0, c=91.0)
    assert outcome({"range": {}, "points": 2.0}, points)[0] == "holds"
    assert outcome({"range": {}, "points": 1.0}, points)[0] == "does not hold"


def test_a_range_that_was_picked_from_many_rows_is_corrected_for_all_their_pairs() -> None:
    """Best and worst of six rows: p = 0.008 of that pair alone, fifteen times that after Holm."""
    means = [90.0, 90.17, 90.18, 90.19, 90.2, 90.4]
    points = {f"r{n}": a_point(f"r{n}", {"test_acc": around(mean)}) for n, mean in enumerate(means)}
    found, why = outcome({"range": {}, "points": 0.4}, points)
    assert found == "undecided" and "not significant" in why
    ends = {name: points[name] for name in ("r0", "r5")}
    assert outcome({"range": {}, "points": 0.4}, ends)[0] == "holds"


@pytest.mark.parametrize("runs", [[], [89.0], [89.0, 89.1]])
def test_the_best_of_a_table_is_open_while_a_row_is_absent(runs: list[float]) -> None:
    points = {**accuracies(a=92.0, b=90.0), "c": a_point("c", {"test_acc": runs})}
    assert outcome({"best": A}, points) == ("undecided", f"c: n = {len(runs)}, a verdict needs 3")


def test_a_ratio_to_nothing_is_undecided() -> None:
    points = {"a": a_point("a", {"seconds_total": [300, 310, 290]}), "b": a_point("b", {"seconds_total": [0, 1, 2]})}
    found, why = outcome({"of": A, "over": B, "measure": "seconds_total", "times": 3}, points)
    assert found == "undecided" and "above 0" in why


def test_a_claim_on_what_no_report_defines_says_that_the_definition_is_ours() -> None:
    points = {name: a_point(name, {"convergence_epochs": [n, n + 1, n + 2]}) for name, n in (("a", 10), ("b", 30))}
    check = {"of": A, "over": B, "measure": "convergence_epochs", "percent": -66}
    assert "our definition" in outcome(check, points)[1]


def test_less_than_three_runs_and_other_settings_decide_nothing() -> None:
    points = {**accuracies(a=91.0), "b": a_point("b", {"test_acc": [90.0, 90.1]})}
    assert outcome({"of": A, "above": B}, points) == ("undecided", "b: n = 2, a verdict needs 3")
    found, why = outcome({"of": A, "above": B}, accuracies(a=91.0, b=90.0), "train.epochs: 5 here, 25 published")
    assert found == "undecided" and why.startswith("not at the published settings (at ours: holds")


def test_what_runs_cannot_decide_has_its_reason() -> None:
    assert outcome({"not_here": "no hardware is named"}, accuracies(a=1.0)) == ("undecided", "no hardware is named")


def test_a_claim_of_several_parts_holds_if_all_do() -> None:
    table = accuracies(a=91.0, b=90.0)
    good, bad, open_ = {"of": A, "above": B}, {"of": B, "above": A}, {"not_here": "no"}
    experiment = Experiment("t-1", "t", "", "", {}, (), (), ())
    for checks, expected in [
        ([good, good], "holds"),
        ([good, bad, open_], "does not hold"),
        ([good, open_], "undecided"),
    ]:
        own = replace(experiment, claims=({"text": "", "check": checks},))
        answers = [Answer(own, _row("t-1", name), name, point, (), (), ()) for name, point in table.items()]
        assert claims_of(answers)[0].outcome == expected


@pytest.mark.parametrize("experiment", [e for e in experiments() if e.claims], ids=lambda e: e.id)
def test_every_claim_of_the_catalogue_has_a_check_that_can_be_read(experiment: Experiment) -> None:
    """With no runs all are undecided, and with three equal runs a row none fails to be weighed."""
    others = [each for each in experiments() if each.sweep == experiment.sweep]
    empty = answers_of(others, [])
    assert {claim.outcome for claim in claims_of(empty)} == {"undecided"}
    measures = ("test_acc", "gap_points", "seconds_total", "seconds_per_epoch", "params", "convergence_epochs")
    same = [1.0, 2.0, 3.0]
    points = [a_point(str(n), dict.fromkeys(measures, same), {8: same, 25: same}) for n in range(len(empty))]
    filled = [replace(answer, configuration=point, others=()) for answer, point in zip(empty, points, strict=True)]
    assert len([claim for claim in claims_of(filled) if claim.experiment is experiment]) == len(experiment.claims)
