"""A choice at several learning rates: its gain at each, the interaction, and best rate against best rate."""

import json
from pathlib import Path
from shutil import rmtree

import pytest

from trainer.report.pages.markdown import as_markdown
from trainer.report.pages.rates import best_rates, gains, interaction
from trainer.report.pages.sentences import p_value
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.statistics.differences import contrast, welch

# Test accuracies of three seeds in percent, and the validation accuracy of all three.
RUNS = {
    ("vgg_a", 0.01): ([80.0, 80.2, 80.4], 81.0),
    ("vgg_a", 0.1): ([70.0, 70.4, 70.8], 70.0),
    ("vgg_a_bn", 0.01): ([82.0, 82.2, 82.4], 82.0),
    ("vgg_a_bn", 0.1): ([84.0, 84.3, 84.6], 85.0),
}


def table_of(tmp_path: Path, write_run, *, validated: bool = True) -> Table:
    for (model, lr), (accuracies, val) in RUNS.items():
        for seed, accuracy in enumerate(accuracies):
            words = [f"model.name={model}", f"optimizer.lr={lr}", f"seed={seed}", "recipe=none"]
            folder = write_run(tmp_path / "runs" / f"{model}-{lr}-{seed}", words, accuracy=accuracy / 100)
            if validated:
                summary = json.loads((folder / "summary.json").read_text()) | {"val/accuracy": val / 100}
                (folder / "summary.json").write_text(json.dumps(summary))
    return read_table(tmp_path / "runs")


def test_gain_at_each_rate_interaction_and_best_rates(tmp_path: Path, write_run) -> None:
    table = table_of(tmp_path, write_run)
    assert [(row[0], row[3]) for row in gains(table).rows] == [
        ("vgg_a_bn, lr=0.01", "+2.00"),
        ("vgg_a_bn, lr=0.1", "+13.90"),
    ]
    (a, _), (b, _), (c, _), (d, _) = (
        RUNS["vgg_a_bn", 0.1],
        RUNS["vgg_a", 0.1],
        RUNS["vgg_a_bn", 0.01],
        RUNS["vgg_a", 0.01],
    )
    by_hand = contrast((1, a), (-1, b), (-1, c), (1, d))
    assert by_hand.mean == pytest.approx(11.9)
    said = interaction(table)
    assert "The gain of vgg_a_bn depends on the learning rate: at 0.1 it is 11.90 points more than at 0.01" in said
    assert f"[{by_hand.low:.2f}, {by_hand.high:.2f}]" in said
    assert [row[:2] + row[4:5] for row in best_rates(table).rows] == [
        ("vgg_a", "0.01", "-"),
        ("vgg_a_bn", "0.1", "+4.10"),
    ]
    page = as_markdown(table, [], {}, beside=tmp_path)
    assert "## At each learning rate" in page and "chosen by the mean validation accuracy" in page


def test_best_rates_are_corrected_for_the_number_of_arms(
    tmp_path: Path, write_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = {("vgg_d", 0.01): ([80.5, 80.9, 81.3], 82.0), ("vgg_d", 0.1): ([70.0, 70.4, 70.8], 70.0)}
    monkeypatch.setitem(globals(), "RUNS", RUNS | third)
    p = {
        name: welch(RUNS[name, rate][0], RUNS["vgg_a", 0.01][0]).p
        for name, rate in (("vgg_a_bn", 0.1), ("vgg_d", 0.01))
    }
    assert p["vgg_a_bn"] is not None and p["vgg_d"] is not None and p["vgg_a_bn"] < p["vgg_d"]
    wanted = {"vgg_a": "-", "vgg_a_bn": p_value(2 * p["vgg_a_bn"]), "vgg_d": p_value(p["vgg_d"])}
    assert {row[0]: row[6] for row in best_rates(table_of(tmp_path, write_run)).rows} == wanted


def test_runs_at_other_settings_take_no_arms_place(tmp_path: Path, write_run) -> None:
    for lr in (0.1, 1):
        for model, gain in (("vgg_a", 0.0), ("vgg_a_bn", 0.01)):
            for seed in range(3):
                words = [f"model.name={model}", f"optimizer.lr={lr}", f"seed={seed}"]
                write_run(tmp_path / "s" / f"{model}-{lr}-{seed}", words, accuracy=0.8 + gain + seed / 1000)
    for seed in range(2):
        words = ["model.name=vgg_a_bn", "optimizer.lr=1", f"seed={seed}", "train.epochs=2"]
        write_run(tmp_path / "s" / f"stray-{seed}", words, accuracy=0.2)
    (tmp_path / "s" / "s.yaml").write_text(
        "method: grid\nparameters:\n  model.name: {values: [vgg_a, vgg_a_bn]}\n  optimizer.lr: {values: [0.1, 1]}\n"
        "  seed: {values: [0, 1, 2]}\n"
    )
    found = [(row[0], row[3]) for row in gains(read_table(tmp_path / "s")).rows]
    assert found == [("vgg_a_bn, lr=0.1", "+1.00"), ("vgg_a_bn, lr=1", "+1.00")]


def diverge(folder: Path) -> None:
    path = folder / "summary.json"
    path.write_text(path.read_text().replace('"finished"', '"diverged"'))


def test_a_gain_of_runs_that_survived_says_so(tmp_path: Path, write_run) -> None:
    """Before: only the choice of the best rate did."""
    table_of(tmp_path, write_run)
    folder = write_run(tmp_path / "runs/lost", ["model.name=vgg_a", "optimizer.lr=0.1", "seed=3", "recipe=none"])
    diverge(folder)
    table = read_table(tmp_path / "runs")
    assert [row[0] for row in gains(table).rows] == ["vgg_a_bn, lr=0.01", "vgg_a_bn, lr=0.1, survivors only"]
    assert interaction(table).endswith("after Holm for 1 pair of rates (survivors only).")
    assert [row[1] for row in best_rates(table).rows] == ["0.01", "0.1"]


def test_a_rate_at_which_every_run_failed_has_no_gain_and_is_nobodys_best(tmp_path: Path, write_run) -> None:
    table_of(tmp_path, write_run)
    for seed in range(3):
        diverge(tmp_path / "runs" / f"vgg_a_bn-0.1-{seed}")
    table = read_table(tmp_path / "runs")
    assert [row[0] for row in gains(table).rows] == ["vgg_a_bn, lr=0.01"]
    assert interaction(table) == ""
    assert [row[1] for row in best_rates(table).rows] == ["0.01", "0.01"]


def test_two_seeds_have_a_gain_and_no_conclusion(tmp_path: Path, write_run) -> None:
    table_of(tmp_path, write_run)
    for folder in (tmp_path / "runs").glob("*-2"):
        rmtree(folder)
    table = read_table(tmp_path / "runs")
    assert [row[1] for row in gains(table).rows] == ["82.10 ± 0.14 (n=2)", "84.15 ± 0.21 (n=2)"]
    assert interaction(table) == "" and best_rates(table).rows == ()


def test_without_validation_no_rate_is_chosen_on_the_test_set(tmp_path: Path, write_run) -> None:
    table = table_of(tmp_path, write_run, validated=False)
    assert best_rates(table).rows == () and gains(table).rows


def test_a_table_without_several_rates_has_no_such_section(write_schedules) -> None:
    table = read_table(write_schedules({"cosine": [0.91, 0.92], "step": [0.9, 0.91]}))
    assert (gains(table).rows, interaction(table), best_rates(table).rows) == ((), "", ())
