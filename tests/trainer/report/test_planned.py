"""Runs meet the points of a sweep's file, however the file writes their values."""

from pathlib import Path

import pytest

from trainer.report.live.now import progress_of
from trainer.report.tables import Table, read_table

LIKE = ["train.batch_size=32", "train.epochs=3"]


def table_of(tmp_path: Path, write_run, parameters: str, runs: list[list[str]], *, command: str = "") -> Table:
    """The table of a sweep of `parameters` with a run for each list of words."""
    folder = tmp_path / "asked"
    for number, words in enumerate(runs):
        write_run(folder / f"run{number}", [*LIKE, *words])
    constants = "train.batch_size: {value: 32}\n  train.epochs: {value: 3}"
    (folder / "asked.yaml").write_text(f"method: grid\n{command}parameters:\n  {constants}\n  {parameters}\n")
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
