"""Verdicts on a page: not the best, different, equivalent, undecided and how many more seeds; effect sizes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run_here

from trainer.report.pages import grids, significance
from trainer.report.pages.answer import finding
from trainer.report.pages.export import as_json
from trainer.report.pages.guards import guards
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.sweep.header import read_header

VALUES = {
    "cosine": [0.9000, 0.9010, 0.9020, 0.9010],
    "step": [0.9005, 0.9015, 0.9010, 0.9000],
    "linear": [0.8850, 0.8900, 0.8950, 0.8850],
    "constant": [0.8000, 0.8100, 0.8050, 0.8070],
}


@pytest.fixture
def table(write_schedules) -> Table:
    return read_table(write_schedules(VALUES))


def verdicts(table: Table, *, control: bool = False) -> dict[str, str]:
    grid = significance.with_control(table) if control else significance.with_best(table)
    assert grid.header[-1] == "verdict"
    return {row[0]: row[-1] for row in grid.rows}


def test_a_page_says_not_the_best_equivalent_or_undecided_and_how_many_more_seeds(table: Table) -> None:
    found = verdicts(replace(table, margin=0.8))
    assert found["constant"] == "not the best, interim"  # one of five planned seeds is missing
    assert found["step"] == "equivalent within 0.8 points, interim"
    assert verdicts(table)["step"].startswith("undecided (about ") and "more seeds each" in verdicts(table)["step"]
    assert "Equivalent: two one-sided tests" in significance.with_best(replace(table, margin=0.8)).caption
    assert "one-sided" not in significance.with_best(table).caption
    assert "Not the best: another one is at least as good" in significance.with_best(table).caption
    near = verdicts(replace(table, margin=20.0))["constant"]
    assert near == f"not the best, within 20 points of {table.ranked[0]}, interim"
    two = replace(
        table, configurations=tuple(each for each in table.configurations if each.label in ("cosine", "constant"))
    )
    assert (
        verdicts(two)["constant"] == "different, interim"
        and "at least as good" not in significance.with_best(two).caption
    )


def test_with_a_control_the_side_is_said_and_a_difference_may_be_below_the_margin(table: Table) -> None:
    found = verdicts(replace(table, margin=20.0, control="cosine"), control=True)
    assert found["constant"] == "different, lower, by less than 20 points, interim"


def test_the_answer_says_what_is_equivalent_to_the_best(write_schedules) -> None:
    values = {name: VALUES[name] for name in ("cosine", "step", "constant")}
    said = finding(replace(read_table(write_schedules(values)), margin=0.8)).text
    assert "is equivalent within 0.8 points to step." in said and "takes about" not in said


def test_two_runs_have_no_verdict(write_schedules) -> None:
    table = read_table(write_schedules({name: values[:2] for name, values in VALUES.items()}))
    assert set(verdicts(table).values()) == {"undecided (fewer than three runs, or none that vary)"}


def test_every_pair_has_an_effect_size(table: Table) -> None:
    place = significance.pairs(table).header.index("effect size (Hedges' g), 95% interval")
    (far,) = (
        row for row in significance.pairs(table).rows if row[0].startswith("cosine") and row[0].endswith("constant")
    )
    g, low, high = (float(part.strip("[],")) for part in far[place].split())
    assert low < g < high and g > 10
    content = as_json(replace(table, margin=0.8))
    assert content["margin"] == 0.8 and all(pair["effect"]["low"] < pair["effect"]["g"] for pair in content["pairs"])
    assert {each["word"] for each in content["against_best"]} == {"not the best", "equivalent"}


def test_a_sweeps_file_names_its_margin(tmp_path: Path, table: Table) -> None:
    path = table.folder / "lr_scheduler.yaml"
    first, _, rest = path.read_text().partition("\n")
    path.write_text(f"{first}\n# Margin:   0.8\n{rest}")
    assert read_table(table.folder).margin == 0.8


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("# Margin: 0", "# Margin: 0: expected a number above 0"),
        ("# Margin: much", "# Margin: much: expected a number above 0"),
        ("# Margn: 0.3", "did you mean 'Margin'?"),
        ("# Margin: 0.3\n# Outcome: runs/loss/width, lower", "it is of the metric, and the file compares an outcome"),
    ],
)
def test_a_margin_that_is_none_is_named(lines: str, said: str) -> None:
    _, problems = read_header(f"# Which one?\n{lines}\nmethod: grid\n")
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize("margin", ["0", "-1", "nan"])
def test_a_margin_of_the_command_is_above_zero(margin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["report", "anything", "--margin", margin]) == 2
    assert f"--margin {margin}" in capsys.readouterr().err


def test_the_command_takes_a_margin(table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["report", str(table.folder), "--margin", "0.8", "--out", str(tmp_path / "out"), "--json"]) == 0
    (content,) = json.loads(capsys.readouterr().out)
    assert content["margin"] == 0.8


def test_an_effect_size_stands_beside_each_p(table: Table) -> None:
    grid = significance.with_best(table)
    place = grid.header.index("effect size (Hedges' g), 95% interval")
    assert grid.header[place - 1] == "p"
    sizes = {row[0]: float(row[place].split()[0]) for row in grid.rows}
    assert sizes["constant"] < sizes["linear"] < -1 < sizes["step"] < 1


def test_a_search_of_means_compares_the_points_with_most_seeds(write_schedules) -> None:
    """Before: a point that got two seeds, and was dropped, headed the page of a search that had chosen another one."""
    table = replace(read_table(write_schedules({**VALUES, "polynomial": [0.96, 0.95]})), means=True)
    assert table.top[0] == "cosine"
    assert "polynomial" not in {each.name for each in table.against_best}
    said = finding(table).text
    assert said.startswith("Of the points with 4 seeds, test accuracy is highest for cosine, ")
    assert "With fewer seeds, and so not compared: polynomial, 95.50 ± 0.71% (n=2)." in said
    grid = grids.configurations(table)
    top = {row[0]: row[grid.header.index("top group")] for row in grid.rows}
    assert top["polynomial"] == "-" and top["cosine"] == "yes"
    assert any("more seeds to points with better means" in guard.what for guard in guards(table))
