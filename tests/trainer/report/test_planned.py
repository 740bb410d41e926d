"""Runs meet the points of a sweep's file, however the file writes their values."""

from pathlib import Path

import pytest

from trainer.report.expected import judge, read_expected
from trainer.report.live.now import progress_of
from trainer.report.pages import significance
from trainer.report.pages.answer import finding
from trainer.report.pages.guards import guards
from trainer.report.table import Table
from trainer.report.tables import read_table

RATES = "optimizer.lr: {values: [0.1, 1]}"
SEEDS = "seed: {values: [0, 1, 2]}"
LIKE = ["train.batch_size=32", "train.epochs=3"]


def table_of(tmp_path: Path, write_run, parameters: str, runs: list[list[str]], *, command: str = "") -> Table:
    """The table of a sweep of `parameters` with a run for each list of words."""
    folder = tmp_path / "asked"
    for number, words in enumerate(runs):
        write_run(folder / f"run{number}", [*LIKE, *words])
    constants = "train.batch_size: {value: 32}\n  train.epochs: {value: 3}"
    (folder / "asked.yaml").write_text(f"method: grid\n{command}parameters:\n  {constants}\n  {parameters}\n")
    return read_table(folder)


def at(lr: float, *accuracies: float, epochs: int = 3) -> list[tuple[list[str], float]]:
    """Words and accuracy of a run for each seed."""
    return [
        ([f"optimizer.lr={lr}", f"seed={seed}", f"train.epochs={epochs}"], each) for seed, each in enumerate(accuracies)
    ]


def table_at_rates(tmp_path: Path, write_run, runs: list[tuple[list[str], float]], *, more: str = "") -> Table:
    folder = tmp_path / "asked"
    for number, (words, accuracy) in enumerate(runs):
        write_run(folder / f"run{number}", ["train.batch_size=32", *words], accuracy=accuracy)
    constants = f"train.batch_size: {{value: 32}}\n  train.epochs: {{value: 3}}\n  {SEEDS}"
    (folder / "asked.yaml").write_text(f"method: grid\n{more}parameters:\n  {constants}\n  {RATES}\n")
    return read_table(folder)


def rows(table: Table) -> list[tuple[str, int]]:
    return [(each.label, len(each.runs)) for each in table.configurations]


@pytest.mark.parametrize(
    ("parameters", "runs", "expected"),
    [
        (
            "optimizer.nesterov: {values: [0, 1]}",
            [["optimizer.nesterov=0"], ["optimizer.nesterov=1"]],
            [("nesterov=0", 1), ("nesterov=1", 1)],
        ),
        (
            "augment.mix: {values: [{name: mixup}, {name: cutmix}]}",
            [["augment.mix.name=cutmix"], ["augment.mix.name=mixup"]],
            [('mix={"name": "mixup"}', 1), ('mix={"name": "cutmix"}', 1)],
        ),
        ("data.root: {values: [./a, b]}", [["data.root=a"], ["data.root=b"]], [("root=./a", 1), ("root=b", 1)]),
        ("optimizer.lr: {values: [0.1, 1]}", [["optimizer.lr=0.1"]], [("lr=0.1", 1), ("lr=1", 0)]),
    ],
    ids=["a number for a boolean", "a section", "a path", "as it is stored"],
)
def test_a_run_is_found_whatever_the_file_writes_for_its_value(
    tmp_path: Path, write_run, parameters: str, runs: list[list[str]], expected: list[tuple[str, int]]
) -> None:
    table = table_of(tmp_path, write_run, parameters, runs)
    assert rows(table) == expected
    assert {problem.kind for problem in table.problems} <= {"missing"}
    assert len(table.problems) == sum(not count for _, count in expected)


def test_a_run_that_no_point_has_is_still_named(tmp_path: Path, write_run) -> None:
    words = [["optimizer.nesterov=0"], ["optimizer.nesterov=1", "optimizer.momentum=0.5"], ["optimizer.nesterov=1"]]
    table = table_of(tmp_path, write_run, "optimizer.nesterov: {values: [0]}", words)
    assert sorted(problem.kind for problem in table.problems).count("not in the sweep") == 2


def test_the_seed_of_the_command_is_that_of_each_point(tmp_path: Path, write_run) -> None:
    command = 'command: [trainer, train, "seed=3", "${args}"]\n'
    runs = [["optimizer.lr=0.1", "seed=3"], ["optimizer.lr=1", "seed=0"]]
    table = table_of(tmp_path, write_run, "optimizer.lr: {values: [0.1, 1]}", runs, command=command)
    assert [(each.label, each.planned, each.marks) for each in table.configurations] == [
        ("lr=0.1", (3,), ()),
        ("lr=1", (3,), ("interim",)),
    ]


@pytest.mark.parametrize("typed", ["--batch-size=32 recipe={}", "--batch-size 32 --recipe {}", "--recipe={}"])
def test_a_recipe_is_read_off_a_command_with_flags(tmp_path: Path, write_run, typed: str) -> None:
    runs = [typed.format(name).split() for name in ("vgg_adam", "vgg_rmsprop")]
    folder = tmp_path / "asked"
    for number, words in enumerate(runs):
        write_run(folder / f"run{number}", [f"recipe={('vgg_adam', 'vgg_rmsprop')[number]}"], command=words)
    (folder / "asked.yaml").write_text("method: grid\nparameters: {recipe: {values: [vgg_adam, vgg_rmsprop]}}\n")
    assert rows(read_table(folder)) == [("vgg_adam", 1), ("vgg_rmsprop", 1)]


def test_a_run_on_its_way_has_the_name_of_its_point(tmp_path: Path, write_run) -> None:
    write_run(tmp_path / "asked" / "running", [*LIKE, "optimizer.nesterov=1"], status="running")
    table = table_of(tmp_path, write_run, "optimizer.nesterov: {values: [0, 1]}", [["optimizer.nesterov=0"]])
    assert [(each.label, each.state) for each in progress_of(table, None).points] == [
        ("nesterov=0", "finished"),
        ("nesterov=1", "running"),
    ]


@pytest.mark.parametrize("old", [3, 5])
def test_runs_from_before_a_constant_was_changed_are_not_the_rows_of_the_file(
    tmp_path: Path, write_run, old: int
) -> None:
    """Also where they are as many as those of today's file, or more."""
    before = [*at(0.1, *[0.2] * old, epochs=2), *at(1, *[0.3] * old, epochs=2)]
    table = table_at_rates(tmp_path, write_run, [*before, *at(0.1, 0.9, 0.91, 0.92), *at(1, 0.8)])
    assert [(each.label, len(each.runs), each.marks) for each in table.configurations] == [
        ("lr=0.1", 3, ()),
        ("lr=1", 1, ("interim",)),
        ("lr=0.1 (train.epochs=2)", old, ()),
        ("lr=1 (train.epochs=2)", old, ()),
    ]
    assert [each.message for each in table.problems if each.kind == "missing"] == ["seeds 1, 2"]


def test_a_seed_that_the_sweep_stopped_is_not_awaited_and_leaves_survivors(tmp_path: Path, write_run) -> None:
    stops = "early_terminate: {type: hyperband, min_iter: 1}\nmetric: {name: test/accuracy, goal: maximize}\n"
    write_run(tmp_path / "asked" / "stopped", ["optimizer.lr=1", "seed=2", *LIKE], status="stopped")
    table = table_at_rates(tmp_path, write_run, [*at(0.1, 0.9, 0.91, 0.92), *at(1, 0.8, 0.81)], more=stops)
    assert [(each.label, each.marks) for each in table.configurations] == [
        ("lr=0.1", ()),
        ("lr=1", ("survivors only",)),
    ]
    assert not table.interim
    said = "the sweep stopped runs early that did badly, 1 of lr=1. Means are of the rest"
    assert said in [each.what for each in guards(table)]


def test_a_search_of_a_small_space_awaits_no_more_than_that_has(tmp_path: Path, write_run) -> None:
    words = [[f"optimizer.lr={lr}", f"seed={seed}"] for lr in (0.1, 1) for seed in (0, 1)]
    folder = tmp_path / "asked"
    for number, each in enumerate(words):
        write_run(folder / f"run{number}", each)
    (folder / "asked.yaml").write_text(
        f"method: random\nrun_cap: 20\nparameters:\n  {RATES}\n  seed: {{values: [0, 1]}}\n"
    )
    table = read_table(folder)
    assert (table.expected, table.interim, table.problems) == (4, False, ())


@pytest.mark.parametrize("cap", [7, 6])
def test_a_search_that_goes_on_is_interim_everywhere(tmp_path: Path, write_run, cap: int) -> None:
    """Before: its answer was, and a verdict of its table and an expectation were not."""
    table_at_rates(tmp_path, write_run, [*at(0.1, 0.9, 0.91, 0.92), *at(1, 0.8, 0.81, 0.82)])
    path = tmp_path / "asked" / "asked.yaml"
    text = path.read_text().replace("method: grid", f"method: random\nrun_cap: {cap}").replace("0, 1, 2", "0, 1, 2, 3")
    path.write_text(text)
    table = read_table(tmp_path / "asked")
    goes_on = cap > 6
    assert (table.expected, table.interim) == (cap, goes_on)
    (outcome,) = judge(table, [read_expected("lr=0.1 > lr=1", table)])
    assert (outcome.met, "interim" in outcome.why) == (not goes_on, goes_on)
    ((*_, verdict),) = significance.with_best(table).rows
    assert verdict.startswith("different") and ("interim" in verdict) == goes_on


def test_finished_runs_whose_metric_is_not_finite_are_named_and_leave_the_answer_open(
    tmp_path: Path, write_run
) -> None:
    runs = [*at(0.1, 0.9, 0.91, 0.92, 0.915, 0.905), *at(1, 0.8, 0.81, 0.82, 0.815, 0.805)]
    table_at_rates(tmp_path, write_run, runs)
    for number in (0, 1):
        path = tmp_path / "asked" / f"run{number}" / "summary.json"
        path.write_text(path.read_text().replace('"test/accuracy": 0.9', '"test/accuracy": NaN, "was": 0.9'))
    table = read_table(tmp_path / "asked")
    found = finding(table)
    assert found.certainty == "incomplete"
    assert "Finished runs without a finite test/accuracy, which are in no mean: 2 of lr=0.1." in found.text
    assert "no run yet" not in found.text
    (outcome,) = judge(table, [read_expected("lr=0.1 > lr=1", table)])
    assert outcome.why.endswith(", some runs have no number")
