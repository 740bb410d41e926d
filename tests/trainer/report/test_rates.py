"""A choice at several learning rates: its gain at each, the interaction, and best rate against best rate."""

import json
from pathlib import Path

import pytest

from trainer.report.pages.markdown import as_markdown
from trainer.report.pages.rates import best_rates, gains, interaction
from trainer.report.tables import Table, read_table
from trainer.statistics.differences import contrast

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


def test_without_validation_no_rate_is_chosen_on_the_test_set(tmp_path: Path, write_run) -> None:
    table = table_of(tmp_path, write_run, validated=False)
    assert best_rates(table).rows == () and gains(table).rows


def test_a_table_without_several_rates_has_no_such_section(write_schedules) -> None:
    table = read_table(write_schedules({"cosine": [0.91, 0.92], "step": [0.9, 0.91]}))
    assert (gains(table).rows, interaction(table), best_rates(table).rows) == ((), "", ())
