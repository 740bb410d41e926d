"""What a page says where finished runs lack the number that is compared, or two configurations have other seeds."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from PIL import Image

from trainer.report.asked import Measured
from trainer.report.expected import judge, read_expected
from trainer.report.pages import origins, significance
from trainer.report.pages.answer import Finding, finding
from trainer.report.pages.charts import charts_of
from trainer.report.pages.sentences import nothing_missing
from trainer.report.pages.write import write_report
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.runs.outcomes import Outcome

COMMAND = 'command: ["${env}", trainer, train, "${args_no_hyphens}"]'


@pytest.fixture
def compare(tmp_path: Path, write_run):
    """`compare(header, sgd=[...], adamw=[...])`: the table of a sweep of optimizers, from what each seed's summary has
    beside the usual figures. A text is a status."""

    def table(header: str, metric: str = "test/accuracy", **of: Sequence[Mapping[str, Any]]) -> Table:
        folder = tmp_path / "runs" / "optimizers"
        seeds = max(map(len, of.values()))
        folder.mkdir(parents=True)
        (folder / "optimizers.yaml").write_text(
            f"# Which optimizer?\n{header}\nproject: p\nname: optimizers\nmethod: grid\n"
            f"metric: {{name: {metric}, goal: maximize}}\n{COMMAND}\nparameters:\n  model.name: {{value: lenet5}}\n"
            f"  optimizer.name: {{values: {json.dumps([*of])}}}\n  seed: {{values: {json.dumps([*range(seeds)])}}}\n"
        )
        for name, summaries in of.items():
            for seed, summary in enumerate(summaries):
                words = ["model.name=lenet5", f"optimizer.name={name}", f"seed={seed}"]
                run = write_run(folder / f"{name}-s{seed}", words, accuracy=0.9 + seed / 1000)
                path = run / "summary.json"
                path.write_text(json.dumps(json.loads(path.read_text()) | dict(summary)))
        return read_table(folder)

    return table


def each(measure: str, *values: float | None) -> list[dict[str, Any]]:
    return [{measure: value} for value in values]


def test_runs_without_the_outcome_are_counted_and_the_answer_is_incomplete(compare) -> None:
    """Before: `significant at the 5% level`, of the three seeds of six that had reached the target."""
    table = compare(
        "# Outcome: time/to_target_seconds, lower",
        sgd=each("time/to_target_seconds", 10, 11, 12, None, None, None),
        adamw=each("time/to_target_seconds", 20, 21, 22, 23, 20, 21),
    )
    said, missing = finding(table), "without a finite time/to_target_seconds, which are in no mean: 3 of sgd."
    assert said.certainty == "incomplete"
    assert missing in said.text and missing in nothing_missing(table)
    (found,) = judge(table, [read_expected("sgd < adamw", table)])
    assert not found.met and found.why.endswith("some runs have no number")


@pytest.mark.parametrize(
    ("header", "metric"), [("# Outcome: runs/grad_cosine/mean, higher", "test/accuracy"), ("", "epochs_to_target")]
)
def test_a_number_that_no_run_has_is_no_failure_of_runs(compare, header: str, metric: str) -> None:
    """Before: `Every run failed.`"""
    table = compare(header, metric, sgd=[{}] * 3, adamw=[{}] * 3)
    said = finding(table)
    assert said.certainty == "no such number"
    assert said.text.startswith("No configuration has the number that is asked for. Finished runs without a finite ")


def test_two_with_other_seeds_are_ranked_as_they_are_compared(compare) -> None:
    """Before: the two seeds that only sgd has made it the best, against the test over the three that both have."""
    sgd = dict(enumerate((1.0, 1.2, 1.4, 0.2, 0.21)))
    asked = Measured(Outcome("runs/loss/mean"), {"sgd": sgd, "adamw": {0: 0.9, 1: 1.07, 2: 1.27}}, highest=False)
    assert asked.ranked == ["adamw", "sgd"] and asked.against_best[0].finding == "higher"
    ended = Measured(Outcome("train/loss"), asked.samples, highest=False)
    assert ended.ranked == ["sgd", "adamw"] and ended.against_best[0].finding == "not significant"


def test_a_configuration_whose_runs_were_all_stopped_is_not_without_runs(compare) -> None:
    """Before: `1 has no run yet`."""
    table = compare("", sgd=[{}] * 3, adamw=[{"status": "stopped"}] * 3)
    said: Finding = finding(table)
    assert "Every run was stopped early, and none is compared, of adamw." in said.text
    assert "has no run yet" not in said.text and "No other one has a result to compare it with." in said.text


def test_verdicts_in_tables_have_the_marks_of_both(compare) -> None:
    lower = [{"test/accuracy": 0.8 + seed / 1000} for seed in range(6)]
    table = compare("# Control: sgd", sgd=[*[{}] * 3, *[{"status": "diverged"}] * 3], adamw=lower)
    (row,) = significance.with_best(table).rows
    assert row[-1] == "different, survivors only"
    (row,) = significance.with_control(table).rows
    assert row[-1] == "different, lower, survivors only"


def test_ratios_are_shown_as_ratios_and_small_numbers_with_their_digits(compare) -> None:
    """Before: a difference of logarithms under the title `difference`, and `0.0000 ± 0.0000`."""
    of = {name: each("train/loss", *(1e-5 * k * (1 + s / 100) for s in range(3))) for name, k in OF.items()}
    table = compare("# Outcome: train/loss, lower\n# Control: sgd", **of)
    grid = significance.with_control(table)
    assert grid.caption.startswith("Each configuration over the control, sgd") and grid.header[1] == "ratio"
    assert {row[0]: row[1] for row in grid.rows} == {"adamw": "0.5", "rmsprop": "3"}
    pair = significance.pairs(table).rows[0]
    assert pair[:2] == ("sgd / adamw", "2")


OF = {"sgd": 2, "adamw": 1, "rmsprop": 6}


def test_a_metric_that_is_no_percentage_has_the_digits_that_it_needs(compare) -> None:
    of = {name: each("train/loss", *(1e-5 * k * (1 + s / 100) for s in range(3))) for name, k in OF.items()}
    table = compare("", "train/loss", **of)
    assert "Train loss is highest for rmsprop, 6.06e-05 ± 6e-07 (n=3)." in finding(table).text
    assert {row[0]: row[1] for row in significance.with_best(table).rows} == {"sgd": "-4.04e-05", "adamw": "-5.05e-05"}


def test_a_configuration_without_the_number_is_in_the_charts_of_accuracy(compare) -> None:
    """Before: it was in none, and nothing said so. And each of its runs had two lines of one reason."""
    table = compare(
        "", metric="test/loss", sgd=each("test/loss", 0.1, 0.2), adamw=each("test/loss", math.nan, math.nan)
    )
    (drawn,) = (chart for chart in charts_of(table) if chart.name == "ablation")
    assert {row["group"] for row in drawn.spec["data"]["values"]} == {"sgd (n=2)", "adamw (n=2)"}
    assert [problem.message for problem in table.problems] == ["test/loss is nan"] * 2


def test_a_run_whose_name_is_no_text_is_in_every_file(compare, tmp_path: Path) -> None:
    """Before: `results.json` was no JSON, and pictures of the run ended the report."""
    table = compare("", sgd=[{}] * 3, adamw=[{}] * 3)
    run = (table.folder / "sgd-s0").rename(table.folder / os.fsdecode(b"caf\xe9"))
    (run / "inspect").mkdir()
    Image.new("RGB", (4, 4)).save(run / "inspect" / "mistakes.png")
    page, *_ = write_report(read_table(table.folder), tmp_path / "out")
    names = [
        each["run"]
        for point in json.loads((tmp_path / "out/results.json").read_text())["points"]
        for each in point["runs"]
    ]
    assert "caf\\xe9" in names and "caf%E9/inspect/mistakes.png" in page.read_text()


def mark(folder: Path, **statuses: str) -> None:
    """Set what runs ended with: `mark(folder, adamw_s0="running")`."""
    for name, status in statuses.items():
        run = folder / name.replace("_", "-")
        origin = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**origin, "status": status}))
        summary = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps({**summary, "status": status}))
        if status == "running":
            (run / "summary.json").unlink()


@pytest.mark.parametrize("others", [("running", "interrupted"), ("stopped", "failed"), ("stopped", "running")])
def test_every_run_was_stopped_only_where_no_other_is_left(compare, others: Sequence[str]) -> None:
    """Before: `Every run was stopped early` with the first seed of three that was."""
    table = compare("", sgd=[{}] * 3, adamw=[{"status": "stopped"}] * 3)
    mark(table.folder, adamw_s0=others[0], adamw_s1=others[1])
    assert "Every run was stopped early" not in finding(read_table(table.folder)).text
    (table.folder / "optimizers.yaml").unlink()  # without the file nobody knows the seeds that are planned
    assert "Every run was stopped early" not in finding(read_table(table.folder)).text


def test_a_stopped_run_whose_first_attempt_was_lost_was_stopped(compare) -> None:
    table = compare("", sgd=[{}] * 3, adamw=[{"status": "stopped"}] * 3)
    copytree(table.folder / "adamw-s0", table.folder / "first-s0")
    mark(table.folder, first_s0="interrupted")
    assert "Every run was stopped early, and none is compared, of adamw." in finding(read_table(table.folder)).text


@pytest.fixture
def rates(tmp_path: Path, write_run):
    """The table of a folder with three seeds of two learning rates, after `mark`."""
    for rate in ("0.1", "0.01"):
        for seed in range(3):
            words = [f"optimizer.lr={rate}", f"seed={seed}"]
            write_run(tmp_path / "runs" / f"r{rate}-s{seed}", words, accuracy=0.9 + seed / 1000 + float(rate) / 10)

    def table(**statuses: str) -> Table:
        for name, status in statuses.items():
            (tmp_path / "runs" / f"r0.1-{name}").rename(tmp_path / "runs" / name)
            mark(tmp_path / "runs", **{name: status})
        return read_table(tmp_path / "runs")

    return table


@pytest.mark.parametrize("status", ["stopped", "failed", "interrupted", "running"])
def test_every_run_trained_only_where_each_ended_with_a_number(rates, status: str) -> None:
    """Before: it stood beside `Every run was stopped early` and `3 runs crashed`."""
    assert "Every run trained, at each learning rate." in finding(rates()).text
    assert "Every run trained" not in finding(rates(s0=status)).text
    assert "Every run trained" not in finding(rates(s1=status, s2=status)).text


def test_a_run_without_a_number_is_not_said_to_have_trained(rates, tmp_path: Path) -> None:
    """Before: so it was, also of runs whose accuracies are all NaN."""
    path = tmp_path / "runs" / "r0.1-s0" / "summary.json"
    nan = dict.fromkeys(("test/accuracy", "train/accuracy", "headline/accuracy", "test/accuracy_best"), math.nan)
    path.write_text(json.dumps(json.loads(path.read_text()) | nan))
    assert "Every run trained" not in finding(rates()).text
    (tmp_path / "runs" / "r0.01-s0").rename(tmp_path / "runs" / "r0.1-bad")
    assert "Every run trained" not in finding(rates(bad="diverged")).text


def test_runs_that_are_in_no_mean_are_not_said_to_count(compare) -> None:
    """Before: `6, of which 6 count`, beside the two that do not."""
    table = compare("", sgd=each("test/accuracy", 0.9, 0.91, math.nan), adamw=each("test/accuracy", 0.8, 0.81, None))
    assert ("runs", "6, of which 4 count") in origins.provenance(table).rows
