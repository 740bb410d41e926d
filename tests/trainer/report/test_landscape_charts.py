"""Charts of what probes measured: of the outcome that a sweep's file names, and of walks along gradients."""

import json
from pathlib import Path
from shutil import rmtree

import pytest
from command_line import run_here
from landscapes import WIDTHS

from trainer.report.pages.charts import charts_of
from trainer.report.tables import read_table

BANDS = ["loss_band", "run_beta_band"]
WALKS = ["loss_variation", "gradient_predictiveness", "beta"]
AFTER = ["ablation", "learning_curves", "accuracy_time_size"]


def walk(folder: Path) -> Path:
    """Write what a walk measures into each run of a sweep, the loss at the weights being the learning rate."""
    for run in folder.glob("vgg*"):
        rate = float(run.name.split("-")[1])
        measured = {"probe/loss": rate, "probe/loss_min": rate / 2, "probe/loss_max": 2 * rate}
        measured |= {"probe/grad_l2_min": 0.1, "probe/grad_l2_max": 3.0}
        with (run / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps({"epoch": step / 100, "step": step, **measured}) + "\n" for step in (0, 30, 60))
    return folder


def test_a_sweep_that_asks_for_a_band_has_its_picture_first(write_landscape) -> None:
    charts = charts_of(read_table(walk(write_landscape())))
    assert [chart.name for chart in charts] == [*BANDS, *WALKS, *AFTER]
    rows = charts[0].spec["data"]["values"]
    assert {row["group"] for row in rows} == {"vgg_a (n=5)", "vgg_a_bn (n=5)"}
    for label, widths in WIDTHS.items():
        for seed, width in enumerate(widths):
            own = [row for row in rows if row["group"].startswith(f"{label} ") and row["seed"] == seed]
            assert [row["high"] - row["low"] for row in own] == pytest.approx([width] * 10)
    assert "0.52 nats of vgg_a, 0.27 nats of vgg_a_bn" in charts[0].alt


def test_walks_are_of_the_middle_learning_rate(write_landscape) -> None:
    charts = {chart.name: chart for chart in charts_of(read_table(walk(write_landscape())))}
    rows = charts["loss_variation"].spec["data"]["values"]
    assert {row["group"] for row in rows} == {"vgg_a, lr=0.1 (n=5)", "vgg_a_bn, lr=0.1 (n=5)"}
    assert {(row["low"], row["mean"], row["high"]) for row in rows} == {(0.05, 0.1, 0.2)}
    assert {row["step"] for row in rows} == {0, 30, 60}


def test_walks_are_of_a_rate_that_all_networks_have(write_landscape) -> None:
    """Before: the middle of all rates, at which a network that is not done yet had no run."""
    folder = walk(write_landscape())
    for run in folder.glob("vgg_a_bn-*"):
        if run.name.split("-")[1] not in ("0.05", "0.15"):
            rmtree(run)
    charts = {chart.name: chart for chart in charts_of(read_table(folder))}
    groups = {row["group"] for row in charts["beta"].spec["data"]["values"]}
    assert groups == {"vgg_a, lr=0.15 (n=5)", "vgg_a_bn, lr=0.15 (n=5)"}


def test_an_archive_has_the_charts_of_its_folder(write_landscape, tmp_path: Path) -> None:
    folder = walk(write_landscape())
    archive = tmp_path / "archives" / "bn_landscape.jsonl.gz"
    assert run_here(["report", "pack", str(folder), "--to", str(archive)]) == 0
    assert [chart.spec for chart in charts_of(read_table(archive))] == [
        chart.spec for chart in charts_of(read_table(folder))
    ]


def test_a_sweep_that_asks_for_accuracies_has_none_of_them(write_landscape) -> None:
    folder = walk(write_landscape())
    sweep = folder / "bn_landscape.yaml"
    sweep.write_text(sweep.read_text().replace("# Outcome:", "# Outcome was:"))
    assert [chart.name for chart in charts_of(read_table(folder))] == AFTER


def test_walks_at_one_rate_need_no_band(write_landscape) -> None:
    """`bn_lipschitz` trains at one learning rate."""
    charts = charts_of(read_table(write_landscape(sweep="bn_lipschitz")))
    assert [chart.name for chart in charts] == ["beta", *AFTER]
