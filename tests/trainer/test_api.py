"""The Python interface, as a script and a notebook use it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend import server
from pretend.watch import write_sweep

import trainer
from trainer import load_config, load_run, resume, run_sweep, train, write_report
from trainer.errors import CheckpointError, ConfigError, DiskError, SweepError, UserError
from trainer.runs.history import read_history

SCRIPT = """
from trainer import run_sweep, write_report
progress = run_sweep("s.yaml", {settings!r}, runs="runs")
assert progress.complete, progress
print(write_report("s", runs="runs").answer)
"""


def test_a_run_is_trained_read_and_its_network_loaded(tmp_path: Path, small_run: list[str]) -> None:
    config = load_config([*small_run, "train.epochs=1"])
    run = train(config, runs=tmp_path, name="first")
    assert (run.status, run.config) == ("finished", config)
    assert run.rows[-1]["test/accuracy"] == run.summary["test/accuracy"]
    assert run.confusion.sum() == len(run.network().image_set.test.labels)
    assert load_run(tmp_path / "first") == run
    assert resume(tmp_path / "first").history == read_history(tmp_path / "first"), "finished: nothing was done"


def test_settings_are_a_mapping_or_words() -> None:
    words = load_config(["model.name=lenet5", "optimizer.lr=0.1"])
    assert load_config({"model.name": "lenet5", "optimizer.lr": 0.1}) == words
    assert load_config("model.name=lenet5") == load_config(["model.name=lenet5"])
    assert load_config(recipe="fastresnet9").model.name == "fastresnet9"
    with pytest.raises(ConfigError, match="did you mean 'lr'"):
        load_config({"optimizer.lrr": 0.1})


def test_settings_are_paths_and_numbers_of_numpy_too() -> None:
    """Before: a traceback, as for everything else that JSON does not know."""
    given = {"data.root": Path("a b"), "optimizer.lr": np.float64(0.1), "train.batch_size": np.int64(20),
             "data.std": np.array([0.5, 0.25, 0.5]), "data.also_test": [Path("x.npz")]}  # fmt: skip
    words = ["data.root=a b", "optimizer.lr=0.1", "train.batch_size=20", "data.std=[0.5, 0.25, 0.5]"]
    assert load_config(given) == load_config([*words, "data.also_test=[x.npz]"])
    assert load_config({"optimizer.lr": np.float32(0.5), "data.mean": torch.ones(3)}).data.mean == (1, 1, 1)
    with pytest.raises(ConfigError, match=r"^optimizer\.lr: \{0\.1\} is a set, not text, a number or a list of these$"):
        load_config({"optimizer.lr": {0.1}})
    with pytest.raises(ConfigError, match=r"^seed: \[b'1'\] is a list, not text, a number or a list of these$"):
        load_config({"seed": [b"1"]})


@pytest.mark.slow
def test_a_script_runs_a_sweep_without_a_guard_around_it(tmp_path: Path, small_run: list[str]) -> None:
    write_sweep(tmp_path, {"optimizer.lr": {"values": [0.001, 0.002]}, "seed": {"values": [0, 1]}})
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT.format(settings=[*small_run, "train.epochs=1"]))
    said = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("Test accuracy")


def test_a_sweep_is_run_once_and_reported(tmp_path: Path, small_run: list[str]) -> None:
    write_sweep(tmp_path, {"optimizer.lr": {"values": [0.001, 0.002]}, "seed": {"values": [0, 1]}})
    server.ready()
    progress = run_sweep(tmp_path / "s.yaml", [*small_run, "train.epochs=1"], runs=tmp_path / "runs")
    assert progress.complete
    runs = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/s/*/run.json")}
    assert len(runs) == 4
    progress = run_sweep(tmp_path / "s.yaml", [*small_run, "train.epochs=1"], runs=tmp_path / "runs")
    assert progress.complete
    assert all(path.stat().st_mtime_ns == then for path, then in runs.items()), "and nothing was run again"

    report = write_report("s", runs=tmp_path / "runs", margin=50.0)
    assert report.page.is_file() and report.answer in report._repr_markdown_()
    assert report.results["margin"] == 50.0
    assert [chart._repr_svg_()[:4] for chart in report.charts] == ["<svg"] * len(report.charts)
    with pytest.raises(UserError, match=r"margin -1: expected a difference above 0"):
        write_report("s", runs=tmp_path / "runs", margin=-1)


def test_a_report_is_written_where_the_command_writes_it(tmp_path: Path, small_run: list[str]) -> None:
    """Before: that of another folder of the same name was written over."""
    for folder in (tmp_path / "elsewhere" / "mine", tmp_path / "runs" / "mine"):
        train(load_config([*small_run, "train.epochs=1"]), runs=folder, name="a")
    report = write_report(tmp_path / "elsewhere" / "mine", runs=tmp_path / "runs")
    assert report.page.parent == tmp_path / "elsewhere" / "mine" / "report"
    assert not (tmp_path / "runs" / "mine" / "report").exists()


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a run folder"):
        load_run(tmp_path)
    for act in (load_run, resume):
        with pytest.raises(DiskError, match=r"a{300}: cannot be read: File name too long"):
            act(tmp_path / ("a" * 300))
    with pytest.raises(SweepError, match="no sweep of the catalogue has this name; did you mean 'loss'"):
        run_sweep("loss_")
    with pytest.raises(SweepError, match="jobs: 0: expected 1 or more"):  # before: nothing was trained
        run_sweep("smoke", runs=tmp_path, jobs=0)
    with pytest.raises(SweepError, match="devices: none is given"):  # before: a ZeroDivisionError
        run_sweep("smoke", runs=tmp_path, devices=[])
    with pytest.raises(SweepError, match="--devices: 'gpu0': expected cpu, cuda:0, cuda:1"):
        run_sweep("smoke", runs=tmp_path, devices=["gpu0"])
    with pytest.raises(SweepError, match="--devices: cuda:99: torch sees"):  # before: it trained on the CPU
        run_sweep("smoke", runs=tmp_path, devices=["cuda:99"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"^train: \{'seed': 1\} is a dict, not a config; make one by load_config$"):
        train({"seed": 1})  # pyright: ignore[reportArgumentType] - as a person may write it
    with pytest.raises(AttributeError, match="module 'trainer' has no attribute 'fit'"):
        _ = trainer.fit
