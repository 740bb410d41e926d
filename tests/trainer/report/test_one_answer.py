"""Five questions have one answer each, whichever command is asked about the same folder of runs.

Which keys change no number; which runs are one configuration; what it is called; which run of a repeated seed counts;
how mean, deviation and count are written.
"""

import json
from pathlib import Path
from statistics import fmean

import pytest
from typer.testing import CliRunner

from trainer.cli.main import app
from trainer.panels.registry import panel
from trainer.runs.groups import grouped
from trainer.runs.history import find_runs, read_history
from trainer.sweep.file import Metric
from trainer.sweep.points import Point
from trainer.sweep.status import Attempt, PointStatus, Progress, as_text
from trainer.text import spread

ACCURACY = {
    ("gelu", 0.1): (0.90, 0.91),
    ("gelu", 0.2): (0.80, 0.82),
    ("relu", 0.1): (0.70, 0.71),
    ("relu", 0.2): (0.6, 0.63),
}
LABELS = {f"act={act}, lr={lr}": values for (act, lr), values in ACCURACY.items()}
ELSEWHERE = [
    "train.eval_batch_size=7",
    "train.device=cpu",
    "train.log_every=3",
    "data.root=/elsewhere",
    "sink.wandb.mode=offline",
]


@pytest.fixture
def folder(tmp_path: Path, write_run) -> Path:
    """Two activations, two rates, two seeds; one run was made elsewhere, and one seed was run again, worse."""
    runs = tmp_path / "table"
    for (act, lr), accuracies in ACCURACY.items():
        for seed, accuracy in enumerate(accuracies):
            more = ELSEWHERE if (act, lr, seed) == ("gelu", 0.1, 1) else []
            settings = [f"model.act={act}", f"optimizer.lr={lr}", f"seed={seed}", *more]
            add_losses(write_run(runs / f"{act}-{lr}-s{seed}", settings, accuracy=accuracy), lr)
    settings = ["model.act=gelu", "optimizer.lr=0.1", "seed=0"]
    add_losses(write_run(runs / "gelu-0.1-s0-again", settings, accuracy=0.1), 9.0)
    return runs


def add_losses(run: Path, loss: float) -> None:
    rows = [{"epoch": 0.1 * step, "step": step, "runs/loss": loss} for step in range(3)]
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def ask(*words: object) -> str:
    result = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_report_compare_panels_and_bands_agree(folder: Path, tmp_path: Path) -> None:
    runs = find_runs([folder])

    (reported,) = json.loads(ask("report", folder, "--out", tmp_path / "report", "--json"))
    assert {each["label"]: [run["headline"] for run in each["runs"]] for each in reported["points"]} == {
        label: [pytest.approx(100 * value) for value in values] for label, values in LABELS.items()
    }
    again = next(problem for problem in reported["problems"] if problem["kind"] == "repeated seed")
    assert again["where"].endswith("gelu-0.1-s0-again")

    compared = json.loads(ask("compare", *runs, "--json"))
    assert {label: [*seeds.values()] for label, seeds in compared["welch"]["groups"].items()} == {
        label: [*values] for label, values in LABELS.items()
    }
    assert [each.partition(" ")[0] for each in compared["welch"]["repeats"]] == ["gelu-0.1-s0-again"]
    assert compared["config"].keys() == {"model.act", "optimizer.lr", "seed"}

    rows = panel("ablation").rows(grouped([read_history(run) for run in runs]))
    means = {row["group"]: row["accuracy"] for row in rows if row["kind"] == "mean"}
    assert means == {f"{label} (n=2)": pytest.approx(100 * fmean(values)) for label, values in LABELS.items()}

    bands = json.loads(ask("landscape", "bands", folder, "--json"))
    assert [group["group"] for group in bands["groups"]] == ["act=gelu", "act=relu"]
    assert [group["mean_width"]["mean"] for group in bands["groups"]] == [pytest.approx(0.1)] * 2
    assert any("gelu-0.1-s0-again does not" in note for note in bands["notes"])


def test_a_sweep_s_status_has_the_same_labels_and_the_same_spread(folder: Path, tmp_path: Path) -> None:
    points = [
        (Point({"model.act": act, "optimizer.lr": lr, "seed": seed}), accuracy)
        for (act, lr), values in ACCURACY.items()
        for seed, accuracy in enumerate(values)
    ]
    done = tuple(PointStatus(point, (Attempt(point, "finished", value, "here"),)) for point, value in points)
    varied = ["model.act", "optimizer.lr", "seed"]
    metric = Metric(name="test/accuracy", goal="maximize")
    status = as_text(Progress(varied, metric, done, (), len(done)))
    ask("report", folder, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "table.md").read_text()
    for label, values in LABELS.items():
        assert label in status and f"| {label} |" in page
        assert spread([100 * value for value in values], unit="%") in status
        assert spread([100 * value for value in values]) in page
