"""Seconds to an accuracy: whole runs that are kept, gone on with, judged, and in turns with a peer's."""

import json
from pathlib import Path

import pytest
import torch
from command_line import run_here

from trainer.bench.accuracy import bench_accuracy, warm_up
from trainer.bench.judged import finding
from trainer.bench.machines import Machine
from trainer.bench.peer_run import _made, _on_cpu
from trainer.bench.peers import AIRBENCH, Side
from trainer.bench.takes import Take
from trainer.config import RunConfig, load_config
from trainer.errors import ConfigError, UserError
from trainer.runs.folder import read_summary
from trainer.statistics.describe import p_above
from trainer.training.device import Compute

PEER = """
import sys
import torch
from torch import nn

with open(sys.argv[0]) as file:
    code = file.read()

class CifarNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 10).half()

def print_training_details(variables, is_final_entry):
    raise AssertionError("for a terminal")

def main(run, model):
    starter, ender = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    data = torch.load("cifar10/train.pt", map_location=torch.device("cuda"))
    starter.record()
    assert model.layer(data["images"].half()[:4]).shape == (4, 8, 8, 10)
    ender.record()
    torch.cuda.synchronize()
    time_seconds = 1e-3 * starter.elapsed_time(ender)
    print_training_details(locals(), is_final_entry=False)
    time_seconds += 100
    print_training_details(locals(), is_final_entry=True)
    return torch.tensor(0.75)
"""

HERE = Machine("Xeon, 2 threads", "", 2, ())


@pytest.fixture
def config(small_run: list[str]) -> RunConfig:
    return load_config([*small_run, "train.epochs=1", "sink.console.mode=off"]).config


def test_the_steps_that_warm_a_gpu_up_are_kept_nowhere(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    warm_up(config)
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""


def test_a_rare_update_of_the_average_does_not_stop_the_warm_up(small_run: list[str]) -> None:
    """Three steps of a run that has 18 would be refused."""
    warm_up(load_config([*small_run, "train.ema.decay=0.9", "train.ema.every=6"]).config)


def test_runs_are_kept_and_only_missing_ones_are_trained(tmp_path: Path, config: RunConfig) -> None:
    found = bench_accuracy(config, name="tiny", target=0.05, runs=2, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("seed-*/run.json")}
    again = bench_accuracy(config, name="tiny", target=0.05, runs=3, folder=tmp_path)
    assert {path.parent.name for path in before} == {"seed-0", "seed-1"}
    assert all(path.read_bytes() == content for path, content in before.items())
    assert json.loads((tmp_path / "seed-2" / "run.json").read_text())["seed"] == 2
    row = found["measured"]["tiny"]
    runs = [read_summary(path.parent) for path in sorted(before)]
    seconds = [run["time/prepare_seconds"] + run["time/train_seconds"] for run in runs]
    assert (row["charged, s"]["min"], row["charged, s"]["max"]) == (min(seconds), max(seconds))
    assert row["build (free), s"]["min"] == min(run["time/build_seconds"] for run in runs)
    assert "compile (free), s" not in row
    taken = found["runs"]["tiny"][0]
    assert (taken["seed"], taken["accuracy"], taken["seconds"]) == (0, runs[0]["test/accuracy"], seconds[0])
    assert row["test accuracy, %"]["max"] == 100 * max(run["test/accuracy"] for run in runs)
    charged = bench_accuracy(config, name="tiny", target=0.05, runs=2, folder=tmp_path, charge_evaluation=True)
    evaluation = min(run["time/evaluate_seconds"] for run in runs)
    assert charged["measured"]["tiny"]["charged, s"]["min"] >= row["charged, s"]["min"] + evaluation > 0
    assert again["rounds"] == 3


def test_runs_of_another_config_or_machine_are_refused_in_a_line(tmp_path: Path, config: RunConfig) -> None:
    bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)
    other = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 2})})
    with pytest.raises(ConfigError, match=r"^train\.epochs: the run has 1, not 2; "):
        bench_accuracy(other, name="tiny", target=0.5, runs=1, folder=tmp_path)
    machine = json.loads((tmp_path / "machine.json").read_text())
    (tmp_path / "machine.json").write_text(json.dumps(machine | {"cores": 1000}))
    with pytest.raises(UserError, match=r"its runs are of cores 1000, not \d+; give another folder$"):
        bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)
    (tmp_path / "machine.json").write_text(json.dumps(machine | {"device": "A100"}))
    with pytest.raises(UserError, match=r"its runs are of device A100, not .*; give another folder$"):
        bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)


def test_seconds_with_other_libraries_of_a_gpu_are_refused_and_older_folders_are_read(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: the versions of CUDA and cuDNN, by which a GPU is quicker or slower, were not compared."""
    gpu = {"gpu": "NVIDIA H200", "cuda": "13.0", "cudnn": "91000", "capability": "9.0"}
    bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)
    older = json.loads((tmp_path / "machine.json").read_text())
    monkeypatch.setattr(Compute, "measured_on", property(lambda _: gpu))
    found = bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)  # older ones do not say
    assert not gpu.keys() & older.keys() and found["machine"].items() >= gpu.items()
    for key, other in (("gpu", "A100"), ("cuda", "12.8"), ("cudnn", "90100")):
        (tmp_path / "machine.json").write_text(json.dumps(older | gpu | {key: other}))
        with pytest.raises(UserError, match=rf"its runs are of {key} {other}, not {gpu[key]}; give another folder$"):
            bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)


def test_runs_of_a_trainer_that_charged_building_are_refused_in_a_line(tmp_path: Path, config: RunConfig) -> None:
    bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)
    summary = tmp_path / "seed-0" / "summary.json"
    older = {key: value for key, value in json.loads(summary.read_text()).items() if key != "time/build_seconds"}
    summary.write_text(json.dumps(older))
    with pytest.raises(UserError, match=r"seed-0: its trainer was older and charged building; give another folder$"):
        bench_accuracy(config, name="tiny", target=0.5, runs=1, folder=tmp_path)


def test_the_test_is_one_sided_and_needs_three_runs() -> None:
    assert p_above(0.94, [0.941, 0.942, 0.943]) == pytest.approx(0.0371, abs=1e-4)  # t = 3.4641 of 2 degrees of freedom
    assert p_above(0.945, [0.941, 0.942, 0.943]) == pytest.approx(1 - 0.0176, abs=1e-4)
    assert p_above(0.94, [0.941, 0.942]) is None

    def said(*values: float) -> str:
        takes = [Take(i, value, 9.0 + i, evaluation=1.0, machine=HERE) for i, value in enumerate(values)]
        return finding("cpu94", takes, 0.94, {HERE: "Xeon"})

    assert said(0.941, 0.942, 0.943) == (
        "cpu94: mean test accuracy 94.20 ± 0.10% (n=3) in 10 ± 1 s: "
        "not shown to be above 94%, one-sided p 0.037, level 0.01"
    )
    assert said(0.9419, 0.9420, 0.9421).endswith(": above 94%, one-sided p 0.00042, level 0.01")
    assert said(0.9419).endswith("94.19% (n=1) in 9 s: undecided against 94% (a verdict needs three runs that differ)")


@pytest.mark.slow
def test_a_peer_takes_turns_and_its_runs_are_kept(tmp_path: Path, config: RunConfig) -> None:
    script, folder = tmp_path / "airbench94_muon.py", tmp_path / "runs"
    script.write_text(PEER)
    found = bench_accuracy(config, name="tiny", target=0.5, runs=2, folder=folder, against=script)
    theirs = found["measured"]["airbench94_muon"]
    assert theirs["test accuracy, %"]["median"] == 75
    assert 0 < theirs["charged, s"]["max"] < 100
    assert found["measured"]["tiny"]["seconds to theirs, ratio"]["min"] > 0
    kept = json.loads((folder / "airbench94_muon-1.json").read_text())
    assert kept["about"].startswith("airbench94_muon, ")
    assert kept["evaluation"] == pytest.approx(100)
    (folder / "airbench94_muon-1.json").write_text(json.dumps(kept | {"accuracy": 0.25}))
    again = bench_accuracy(config, name="tiny", target=0.5, runs=2, folder=folder, against=script)
    assert again["measured"]["airbench94_muon"]["test accuracy, %"]["min"] == 25  # taken, not trained again


COMPILED = """
import torch
from torch import nn

hyp = {"proxy": 1, "net": 2}

def make_net(width):
    net = nn.Sequential(nn.Linear(3, width).half().cuda())
    assert net[0].weight.dtype in (torch.half, torch.float)
    return net

def main(run, hyp, model_proxy, model_trainbias, model_freezebias):
    return torch.zeros(2, device=torch.device(gpu))
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float"])
def test_a_script_that_takes_compiled_networks_gets_them(dtype: str) -> None:
    """airbench96_faster.py and legacy/airbench94_compiled.py. Those without a network of its own get none."""
    theirs = _on_cpu(COMPILED, dtype)
    hyp, *networks = _made(theirs, gpu=False)
    assert hyp is theirs.hyp
    assert [net._orig_mod[0].out_features for net in networks] == [1, 2, 2]
    assert [net._orig_mod[0].bias.requires_grad for net in networks] == [False, True, False]
    assert {net._orig_mod[0].weight.dtype for net in networks} == {getattr(torch, dtype)}
    assert theirs.main(0, hyp, *networks).device.type == "cpu"
    theirs.main = lambda run: None
    assert [*_made(theirs, gpu=False)] == []
    theirs.main = lambda run, teacher: None
    with pytest.raises(UserError, match=r"^its main\(\) takes teacher, which no known script"):
        _ = [*_made(theirs, gpu=False)]


@pytest.mark.slow
def test_a_peer_that_fails_is_one_line(tmp_path: Path, config: RunConfig) -> None:
    (script := tmp_path / "airbench94_muon.py").write_text("import no_such_module")
    side = Side("airbench run", script, json.dumps(config.data.model_dump(mode="json")), own_threads=False)
    with pytest.raises(UserError, match="airbench run: ModuleNotFoundError: No module named 'no_such_module'"):
        side.about()
    side.end()


@pytest.mark.parametrize(
    ("given", "target", "script"),
    [("", "0.94", "airbench94_muon.py"), ("", "0.9", "airbench94_muon.py"), ("", "0.95", "legacy/airbench95.py"),
     ("", "0.96", "airbench96_faster.py"), ("legacy/airbench94.py", "0.94", "legacy/airbench94.py")],
)  # fmt: skip
def test_the_peer_is_the_quickest_script_for_the_target_or_the_one_that_is_given(
    given: str, target: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in AIRBENCH:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def begun(*_: object, against: Path, **__: object) -> None:
        raise UserError(f"it would run {against}")

    monkeypatch.setattr("trainer.bench.accuracy.bench_accuracy", begun)
    words = ["--recipe", "cpu94", "--target", target, "--against", str(tmp_path / given)]
    assert run_here(["bench", "accuracy", *words]) == 2
    assert capsys.readouterr().err == f"error: it would run {tmp_path / script}\n"


@pytest.mark.parametrize(
    ("given", "target", "said"),
    [("", "0.9601", "airbench, which --against runs, goes up to 0.96; leave --against out"),
     ("airbench94_muon.py", "0.95", "airbench94_muon.py, which --against runs, is for 0.94; give its checkout, or leave"
      " --against out")],
)  # fmt: skip
def test_a_target_that_no_script_of_the_peers_is_for_is_refused(
    given: str, target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Before: the script for 94% was run against 96%, and judged."""
    (tmp_path / "airbench94_muon.py").write_text(PEER)
    monkeypatch.setattr("trainer.bench.accuracy.bench_accuracy", lambda *_, **__: pytest.fail("it was begun"))
    words = ["--recipe", "cpu94", "--target", target, "--against", str(tmp_path / given)]
    assert run_here(["bench", "accuracy", *words]) == 2
    assert capsys.readouterr().err == f"error: --target {target}: {said}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "94"], "error: --target 94: expected a fraction between 0 and 1, such as 0.94\n"),
        (["--against", "nowhere"], "error: --against nowhere: no airbench94_muon.py in it\n"),
        (
            ["--against", "pyproject.toml"],
            "error: --against pyproject.toml: expected one of airbench94_muon.py, airbench95.py, airbench96_faster.py,"
            " airbench94.py, airbench94_compiled.py, airbench96.py, or a checkout of airbench\n",
        ),
    ],
)
def test_wrong_words_are_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["bench", "accuracy", "--recipe", "cpu94", *words]) == 2
    assert capsys.readouterr().err == said
