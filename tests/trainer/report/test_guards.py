"""Guards: each thing that could be behind a difference is named, and nothing is named where all is alike."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run_here

from trainer.report.pages.export import as_json
from trainer.report.pages.guards import guards
from trainer.report.tables import read_table
from trainer.statistics.failures import learned


def said(folder: Path, kind: str) -> list[str]:
    return [each.what for each in guards(read_table(folder)) if each.kind == kind]


def changed(run: Path, **origin: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **origin}))


@pytest.fixture
def two(tmp_path: Path, write_run) -> Path:
    """Runs of two schedules, three seeds each."""
    for name, mean in (("cosine", 0.9), ("step", 0.8)):
        for seed in range(3):
            words = [f"schedule.name={name}", f"seed={seed}"]
            write_run(tmp_path / "runs" / f"{name}{seed}", words, accuracy=mean + 0.001 * seed)
    return tmp_path / "runs"


def test_runs_that_differ_in_what_is_compared_alone_have_no_guard(two: Path) -> None:
    assert guards(read_table(two)) == [] and as_json(read_table(two))["guards"] == []


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("device", {"device": "another GPU"}),
        ("precision", {"precision": "bfloat16"}),
        ("revision", {"git": {"revision": "fedcba9876543210", "dirty": False}}),
        ("revision", {"git": {"revision": "0123456789abcdef", "dirty": True}}),
        ("torch", {"versions": {"torch": "1.0"}}),
        ("cores", {"machine": {"system": "Linux", "cores": 4}}),
        ("processor", {"machine": {"system": "Linux", "cores": 2, "processor": "another"}}),
        ("device", {"resumed": [{"device": "another GPU"}]}),
    ],
)
def test_another_mixture_of_machines_or_code_is_named(two: Path, name: str, origin: dict[str, Any]) -> None:
    changed(two / "step0", **origin)
    (line,) = [line for line in said(two, "confounding") if line.startswith(f"{name} is not the same for all. ")]
    assert "cosine: " in line and "step: " in line


def test_a_table_in_which_nothing_has_learned_says_so(tmp_path: Path, write_run) -> None:
    """Before: relu was *highest* at 10.9 % of ten classes, and the page asked for 82 more seeds."""
    for name, mean in (("cosine", 0.109), ("step", 0.105)):
        for seed in range(3):
            words = [f"schedule.name={name}", f"seed={seed}"]
            write_run(tmp_path / "runs" / f"{name}{seed}", words, accuracy=mean + 0.001 * seed)
    (line,) = said(tmp_path / "runs", "nothing learned")
    assert line.startswith("the best run has 11.10%, and guessing has 10.00%. Train longer")
    write_run(tmp_path / "runs" / "step3", ["schedule.name=step", "seed=3"], accuracy=0.2)
    assert said(tmp_path / "runs", "nothing learned") == []


def test_two_classes_that_are_told_apart_were_learned() -> None:
    """Before: 93 % of two classes was no two times guessing."""
    assert learned(0.76, classes=2) and not learned(0.74, classes=2)
    assert learned(0.2, classes=10) and not learned(0.199, classes=10)


def test_the_same_mixture_for_all_confounds_nothing(two: Path) -> None:
    for name in ("cosine2", "step2"):
        changed(two / name, device="another GPU")
    assert said(two, "confounding") == []


def test_a_package_that_an_older_trainer_did_not_record_confounds_nothing(two: Path) -> None:
    for run in two.glob("step*"):
        changed(run, versions={**json.loads((run / "run.json").read_text())["versions"], "numba": "0.68.1"})
    assert said(two, "confounding") == []


def test_a_rate_that_was_searched_for_one_arm_only_is_named(two: Path, write_run) -> None:
    write_run(two / "more", ["schedule.name=cosine", "optimizer.lr=0.01", "seed=0"], accuracy=0.91)
    (line,) = said(two, "tuning budget")
    assert line == "optimizer.lr: settings tried are 2 of cosine, 1 of step. The best of more is better by chance"


def test_a_rate_that_was_picked_on_the_test_set_is_called_so(two: Path, write_run) -> None:
    for name in ("cosine", "step"):
        write_run(two / f"{name}-fast", [f"schedule.name={name}", "optimizer.lr=0.01", "seed=0"], accuracy=0.91)
    (line,) = said(two, "selection")
    assert line.startswith("the best optimizer.lr of up to 2 is picked by test/accuracy, on the test set")
    assert said(two, "tuning budget") == []


def test_runs_that_fail_more_often_in_one_configuration_are_missing_not_at_random(two: Path, write_run) -> None:
    for seed in (3, 4):
        words = ["schedule.name=step", f"seed={seed}"]
        write_run(two / f"lost{seed}", words, accuracy=None, status="diverged")
    (line,) = said(two, "missing not at random")
    assert line.startswith("runs failed, 2 of 5 of step.")


def test_the_page_has_them_in_a_section(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(two / "step0", device="another GPU")
    assert run_here(["report", str(two), "--out", str(two.parent / "out")]) == 0
    page = (two.parent / "out" / "runs.md").read_text()
    assert "## What could mislead" in page and "| confounding | device is not the same for all." in page
