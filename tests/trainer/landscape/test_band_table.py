"""`trainer landscape bands`: one number per band, over seeds and as the ratio of two groups, from run folders alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from trainer.cli.main import app
from trainer.config import load_config
from trainer.errors import CheckpointError
from trainer.landscape.band_table import as_text, band_table
from trainer.runs.history import History
from trainer.training.run import start_run


def run_of(model: str, lr: float, seed: int, losses: list[float], *, beta: float | None = None) -> History:
    extra = {} if beta is None else {"runs/beta": beta}
    rows = [{"epoch": 0.0, "step": step, "runs/loss": loss, **extra} for step, loss in enumerate(losses)]
    config = {"optimizer.lr": lr, "seed": seed, "model.name": model}
    return History(Path(f"{model}-{lr:g}-{seed}"), config, rows, {"status": "finished"}, [])


def two_groups(seeds: int) -> list[History]:
    """Widths 1, 2, ... by seed without BatchNorm, half of that with it. Betas 4 and 3 at the two rates, or 2 and 1."""
    runs: list[History] = []
    for seed in range(seeds):
        for model, part, betas in (("vgg_a", 1.0, (4, 3)), ("vgg_a_bn", 0.5, (2, 1))):
            for lr, offset, beta in zip((0.1, 0.2), (0.0, part * (seed + 1)), betas, strict=True):
                runs.append(run_of(model, lr, seed, [2 + offset] * 5, beta=beta))
    return runs


def test_numbers_are_means_over_seeds_with_their_sample_deviation() -> None:
    without, with_bn = band_table(two_groups(3), "runs/loss")["groups"]
    assert without["mean_width"] == {"mean": 2.0, "std": 1.0, "n": 3, "by_seed": {0: 1.0, 1: 2.0, 2: 3.0}}
    assert with_bn["mean_width"] == {"mean": 1.0, "std": 0.5, "n": 3, "by_seed": {0: 0.5, 1: 1.0, 2: 1.5}}
    assert [without["area"]["mean"], without["mean_level"]["mean"], without["beta"]["mean"]] == [8.0, 3.0, 4.0]
    assert (without["rates"], without["steps"]) == ([0.1, 0.2], [0, 4])


def test_the_ratio_is_taken_seed_by_seed() -> None:
    ratio = band_table(two_groups(3), "runs/loss")["ratio"]
    assert ratio["of"] == ["vgg_a_bn", "vgg_a"]
    assert ratio["mean_width"] == {"mean": 0.5, "std": 0.0, "n": 3, "by_seed": {0: 0.5, 1: 0.5, 2: 0.5}}
    assert ratio["beta"]["mean"] == 0.5


def test_the_ratio_is_over_the_steps_that_both_groups_have() -> None:
    """Without BatchNorm a run diverges after two steps, at which its band was as wide as the other's later is not."""
    runs = [run_of("vgg_a", 0.1, 0, [1.0] * 4), run_of("vgg_a", 0.2, 0, [2.0, 2.0])]
    runs[1].summary["status"] = "diverged"
    runs += [run_of("vgg_a_bn", 0.1, 0, [1.0] * 4), run_of("vgg_a_bn", 0.2, 0, [2.0, 2.0, 9.0, 9.0])]
    table = band_table(runs, "runs/loss")
    assert table["ratio"]["mean_width"]["mean"] == 1.0
    assert [group["steps"] for group in table["groups"]] == [[0, 1], [0, 3]]
    assert table["groups"][0]["diverged"] == {0: {0.2: 1}}
    assert "diverged: vgg_a, rate 0.2, seed 0 (vgg_a-0.2-0), left out after step 1" in as_text(table)


def test_one_seed_shows_no_spread_and_three_groups_no_ratio() -> None:
    table = band_table(two_groups(1), "runs/loss")
    assert table["groups"][0]["mean_width"]["std"] is None
    assert "1 (n=1)" in as_text(table)
    assert "± " not in as_text(table).split("\n", 2)[2]
    more = [run_of("lenet5", lr, 0, [1.0] * 5) for lr in (0.1, 0.2)]
    assert band_table([*two_groups(1), *more], "runs/loss")["ratio"] is None


def test_a_band_without_width_is_no_divisor() -> None:
    runs = [run_of(model, lr, 0, [1.0, 1.0]) for model in ("vgg_a", "vgg_a_bn") for lr in (0.1, 0.2)]
    assert set(band_table(runs, "runs/loss")["ratio"]) == {"of", "mean_level"}


def test_the_papers_medians_are_shown_also_where_there_is_one_rate_only() -> None:
    run = run_of("vgg_a", 0.1, 0, [1.0])
    run.rows.append({"epoch": 0.0, "step": 0, "probe/beta": 7.5})
    said = as_text(band_table([run], "runs/loss"))
    assert said.splitlines()[2:4] == ["median over rates and steps  vgg_a", "probe/beta                   7.5 (n=1)"]
    assert said.endswith("vgg_a, seed 0: one rate is not enough for a band")


@pytest.fixture(scope="module")
def sweep_folder(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """Return runs of LeNet-5 at two rates, with two activations, on a handful of images."""
    folder = tmp_path_factory.mktemp("sweep")
    for act in ("relu", "tanh"):
        for lr in (0.01, 0.1):
            config = load_config([
                "data.name=folder", f"data.root={image_folder}", "data.image_size=32", "model.name=lenet5",
                f"model.act={act}", f"optimizer.lr={lr}", "train.epochs=1", "train.batch_size=8", "train.device=cpu",
                "sink.wandb.mode=disabled", "sink.console.mode=off", "probe.drift.every=1", "probe.walk.every=3",
            ]).config  # fmt: skip
            start_run(config, runs=folder, name=f"{act}-{lr}")
    return folder


def test_bands_of_trained_runs_equal_their_rows(sweep_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bands.json"
    result = CliRunner().invoke(app, ["landscape", "bands", str(sweep_folder), "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    table: dict[str, Any] = json.loads(result.stdout)
    written = json.loads(out.read_text())
    assert {key: value for key, value in written.items() if key != "bands"} == table
    texts = [(sweep_folder / f"relu-{lr}" / "metrics.jsonl").read_text() for lr in (0.01, 0.1)]
    curves = [[row["runs/loss"] for row in map(json.loads, text.splitlines()) if "runs/loss" in row] for text in texts]
    pairs = list(zip(*curves, strict=True))
    assert len(pairs) == 6
    width = sum(max(pair) - min(pair) for pair in pairs) / 6
    plain = table["groups"][0]
    assert plain["mean_width"]["mean"] == pytest.approx(width)
    assert [row["low"] for row in written["bands"] if row["group"] == plain["group"]] == [min(pair) for pair in pairs]
    assert {"probe/beta", "probe/lipschitz"} <= table["medians"].keys()
    assert table["notes"] == []


def test_the_table_names_groups_and_numbers(sweep_folder: Path) -> None:
    said = CliRunner().invoke(app, ["landscape", "bands", str(sweep_folder), "--from-step", "1", "--gap", "2"]).stdout
    head, _, columns, first, second, ratio, *_ = said.splitlines()
    assert head.startswith("runs/loss: mean ± standard deviation over seeds")
    assert columns.split() == ["group", "rates", "steps", "mean", "width", "area", "mean", "level", "beta"]
    assert first.split()[:4] == ["act=relu", "0.01", "0.1", "2-4"]
    assert second.startswith("act=tanh")
    assert ratio.startswith("act=tanh / act=relu ")


def test_a_folder_without_runs_and_a_metric_that_no_run_has_are_one_line(sweep_folder: Path, tmp_path: Path) -> None:
    for arguments in ([str(tmp_path / "nowhere")], [str(sweep_folder), "--key", "runs/los"]):
        result = CliRunner().invoke(app, ["landscape", "bands", *arguments])
        assert isinstance(result.exception, CheckpointError)
        assert len(result.exception.problems) == 1
    assert "did you mean 'runs/loss'?" in str(result.exception)
