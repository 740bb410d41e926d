"""`trainer report --expect`: exit code 1 where a verdict that was asked for is not there."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run_here

from trainer.errors import UserError
from trainer.report.asked import Measured
from trainer.report.decided import Decided
from trainer.report.expected import judge, read_expected
from trainer.report.tables import read_table
from trainer.runs.outcomes import Outcome
from trainer.statistics.sequential import Decision
from trainer.sweep.header import Until

VALUES = {  # the file plans five seeds
    "cosine": [0.9000, 0.9010, 0.9020, 0.9010, 0.9005],
    "step": [0.9005, 0.9015, 0.9010, 0.9000, 0.9010],
    "linear": [0.8000, 0.8200, 0.7900, 0.8100, 0.8000],
    "exponential": [0.8000, 0.8200, 0.7900, 0.8100, 0.8000],
    "constant": [0.7000, 0.7100],
    "reduce_on_plateau": [0.6000, 0.6100, 0.6200, 0.6100],
}


@pytest.fixture
def folder(write_schedules) -> Path:
    return write_schedules(VALUES)


def asked(folder: Path, *words: str) -> int:
    return run_here(["report", str(folder), "--out", str(folder.parent / "out"), *words])


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        (["cosine > linear"], 0),
        (["linear < cosine", "step > linear"], 0),
        (["linear > cosine"], 1),
        (["cosine > step"], 1),
        (["cosine > constant"], 1),  # two runs
        (["cosine>linear", " linear<step "], 0),
        (["linear ~ exponential", "--margin=0.1"], 0),  # identical
        (["linear > exponential"], 1),
        (["cosine > linear", "cosine > step"], 1),
        (["cosine ~ step", "--margin=0.8"], 0),
        (["cosine ~ linear", "--margin=0.8"], 1),
    ],
)
def test_the_exit_code_says_whether_all_is_as_expected(folder: Path, expected: Sequence[str], code: int) -> None:
    words = [part for each in expected for part in ([each] if each.startswith("-") else ["--expect", each])]
    assert asked(folder, *words) == code


def test_what_is_not_as_expected_is_a_line_each_and_the_page_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(folder, "--expect", "cosine > linear", "--expect", "cosine > constant") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "as expected" in line]
    assert lines[0].startswith("as expected: cosine > linear (difference +9")
    assert lines[1].startswith("NOT as expected: cosine > constant (a test needs 3 runs each")
    assert lines[1].endswith("cosine has 5, constant has 2, interim)")
    assert (folder.parent / "out" / "index.html").is_file()


def test_a_difference_is_no_verdict_while_planned_seeds_are_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who looks at each new seed finds a false difference in more than 5% of equal pairs."""
    assert asked(folder, "--expect", "cosine > linear", "--expect", "cosine > reduce_on_plateau") == 1
    here, missing = (line for line in capsys.readouterr().err.splitlines() if "as expected" in line)
    assert here.startswith("as expected: cosine > linear") and "interim" not in here
    assert missing.startswith("NOT as expected: cosine > reduce_on_plateau (difference +2") and ", interim)" in missing


def test_runs_that_failed_are_told_beside_a_verdict_on_the_others(write_schedules) -> None:
    table = read_table(write_schedules({**VALUES, "linear": [0.8000, 0.8200, 0.7900, 0.8100, 0.1000]}))
    (found,) = judge(table, [read_expected("cosine > linear", table)])
    assert found.met and found.why.endswith(", survivors only")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--expect", "cosine better than linear"], 'expected two configurations, such as "cosine > constant"'),
        (["--expect", "cosin > linear"], "'cosin' is no configuration; did you mean 'cosine'?"),
        (["--expect", "> cosine"], 'expected two configurations, such as "cosine > constant"'),
        (["--expect", "cosine > step > linear"], 'expected two configurations, such as "cosine > constant"'),
        (["--expect", "cosine > cosine"], "it names one configuration twice"),
        (["--expect", "cosine ~ step"], "an equivalence needs --margin"),
    ],
)
def test_an_expectation_that_cannot_be_read_is_one_line(
    folder: Path, words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(folder, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_expectations_are_corrected_for_each_other(folder: Path) -> None:
    """A p of 0.03 alone is 0.06 beside another one."""
    table = read_table(folder)
    alone = judge(table, [read_expected("cosine > linear", table)])[0].why
    beside = judge(table, [read_expected(text, table) for text in ("cosine > linear", "step > linear")])[0].why
    p = [float(why.rpartition("p ")[2]) for why in (alone, beside)]
    assert p[1] == pytest.approx(2 * p[0], rel=0.1)


def test_where_seeds_were_added_until_decided_its_decisions_count(folder: Path) -> None:
    until = Until("best", "", 3, 10, 0.5)
    decisions = (Decision("cosine", "step", "equivalent", None, 4), Decision("cosine", "linear", "open", None, 4))
    table = replace(read_table(folder), decided=Decided(until, decisions, (), 0), margin=0.5)
    found = judge(table, [read_expected(text, table) for text in ("cosine ~ step", "cosine > linear", "step > linear")])
    assert [each.met for each in found] == [True, False, False]
    assert found[0].why == "the sequential test says equivalent within 0.5"
    with pytest.raises(UserError, match=r"margin 0\.1: the seeds of lr_scheduler were decided with a margin of 0\.5"):
        table.with_margin(0.1)
    assert table.with_margin(0.5) == table
    assert found[2].why.startswith("the design does not compare them")


def test_an_outcome_of_seeds_that_were_added_until_something_else_was_decided_has_no_verdict(folder: Path) -> None:
    """Before: met, by a test for a fixed number of seeds."""
    table = read_table(folder)
    until = Decided(Until("best", "", 3, 10, None), (), (), 0)
    marked = [replace(each, until_decided=True) for each in table.configurations]
    samples = {each.label: each.sample() for each in table.configurations}
    asked = Measured(Outcome("test/accuracy"), samples)
    for configurations, met in ((marked, False), (table.configurations, True)):
        found = replace(table, configurations=tuple(configurations), decided=until, asked=asked)
        assert [each.met for each in judge(found, [read_expected("cosine > linear", found)])] == [met]


def test_two_runs_that_are_identical_are_too_few_for_an_equivalence(write_schedules) -> None:
    """Before: met."""
    table = replace(read_table(write_schedules({"cosine": [0.9, 0.91], "step": [0.9, 0.91]})), margin=0.5)
    (found,) = judge(table, [read_expected("cosine ~ step", table)])
    assert not found.met and found.why.startswith("a test needs 3 runs each")


def test_an_accuracy_as_an_outcome_makes_no_pairs_as_on_its_page(folder: Path) -> None:
    """Before: the paired t-test, p < 0.001, where the page has Welch's."""
    cosine, step = ({seed: low + rise * seed for seed in range(5)} for low, rise in ((90.0, 1.0), (89.0, 1.01)))
    samples = {"cosine": cosine, "step": step}
    table = replace(read_table(folder), asked=Measured(Outcome("test/accuracy"), samples))
    (found,) = judge(table, [read_expected("cosine > step", table)])
    assert not found.met and found.why.startswith("+0.98, 95% interval -1.34 to +3.3, n = 5 runs, p 0.36")


def test_an_outcome_that_the_file_names_is_compared_seed_by_seed_as_on_its_page(folder: Path) -> None:
    """Seeds spread by a factor of 16, and each is about twice the other."""
    samples = {
        "cosine": {seed: 2.0**seed for seed in range(5)},
        "step": {seed: (2 + seed / 100) * 2.0**seed for seed in range(5)},
    }
    table = replace(read_table(folder), asked=Measured(Outcome("runs/loss/width"), samples), margin=0.5)
    (found,) = judge(table, [read_expected("cosine < step", table)])
    assert found.met and found.why.startswith("0.495 times, 95% interval ")
    with pytest.raises(UserError, match="a margin is of the metric, and lr_scheduler compares an outcome"):
        read_expected("cosine ~ step", table)
