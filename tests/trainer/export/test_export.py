"""`trainer export`, as typed: what it writes, what a model card says, and what it refuses."""

import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
import yaml
from command_line import run_here
from huggingface_hub import ModelCard, ModelCardData
from safetensors import safe_open

import models
from models.layers import batch_norms
from trainer.config import load_config
from trainer.errors import ExportError
from trainer.export import formats
from trainer.export.formats import place_of
from trainer.export.hub import write_hub_folder
from trainer.export.network import load_network
from trainer.export.safetensors import write_safetensors
from trainer.export.seeds import seeds_of
from trainer.export.timm import config_of, write_timm
from trainer.runs.checkpoint import load_checkpoint, save_checkpoint
from trainer.runs.history import read_history
from trainer.statistics.describe import describe
from trainer.training.run import start_run
from trainer.training.trained import evaluate_trained


def test_the_command_writes_into_the_run_and_says_how_close_the_copy_is(
    exported_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "ghost"
    shutil.copytree(exported_runs / "ghost", run)
    assert run_here(["export", str(run), "--to", "safetensors"]) == 0
    out, err = capsys.readouterr()
    path = run / "export" / "ghost.safetensors"
    accuracy = evaluate_trained(run)["test/accuracy"]
    assert out.splitlines()[0] == f"fastresnet9, {accuracy:.2%} of 16 test images right"
    assert out.splitlines()[-1] == str(path) and err == ""
    assert [each.name for each in path.parent.iterdir()] == ["ghost.safetensors"]
    with safe_open(path, "pt") as file:
        about = {key: json.loads(value) for key, value in file.metadata().items() if key != "format"}
    assert about["test_accuracy"] == accuracy and about["test_images"] == 16
    assert about["class_names"] == ["bright", "dark"] and about["config"]["model.width"] == 2


def test_no_folder_of_yours_is_in_a_file(exported_runs: Path, tmp_path: Path) -> None:
    """Before: a list was left as it was, and so was a relative path."""
    run = tmp_path / "ghost"
    shutil.copytree(exported_runs / "ghost", run)
    state = load_checkpoint(run / "checkpoint.pt")
    root = state["config"]["data"]["root"]
    state["config"]["data"] |= {"root": f"{os.path.relpath(root)}", "also_root": "projects/ann"}
    state["config"]["data"]["also_test"] = ["projects/ann/other.npz"]
    save_checkpoint(run / "checkpoint.pt", state)
    settings = load_network(run, {"data.also_test": []}).settings
    assert settings["data.root"] == Path(root).name and settings["data.also_root"] == "ann"
    assert settings["data.also_test"] == ["other.npz"]


def test_an_export_has_the_normalisation_of_the_training_and_not_that_of_other_images(
    exported_runs: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: it had that of `--data-root`, and so did the logits that it was compared with."""
    run, others = tmp_path / "ghost", tmp_path / "others"
    shutil.copytree(exported_runs / "ghost", run)
    shutil.copytree(image_folder, others)
    for path in (others / "train" / "dark").iterdir():
        shutil.copy(others / "train" / "bright" / "0.png", path)
    right = load_network(run, {}, check=3).description()
    moved = {"data.root": str(others)}
    assert load_network(run, moved, check=3).description() == right
    config = config_of(load_network(run, moved, check=3))["pretrained_cfg"]
    assert (config["mean"], config["std"]) == (right["mean"], right["std"])
    state = load_checkpoint(run / "checkpoint.pt")
    del state["normalisation"]
    save_checkpoint(run / "checkpoint.pt", state)
    assert load_network(run, {}, check=3).description() == right
    capsys.readouterr()
    typed = ["--to", "timm", "--data-root", str(others), "--out", str(tmp_path / "exported")]
    assert run_here(["export", str(run), *typed]) == 2
    said = f"error: {run}: an older checkpoint, which has not kept the mean and std of its images; export it with those"
    assert capsys.readouterr().err.splitlines()[-1] == said and not (tmp_path / "exported").exists()


def test_json_and_a_number_of_images(exported_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "elsewhere"
    typed = ["ghost", "--runs", str(exported_runs), "--to", "timm", "--out", str(out), "--check", "5", "--json"]
    assert run_here(["export", *typed]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"path", "format", "images", "largest_difference", "test/accuracy"}
    assert told["images"] == 5 and told["largest_difference"] <= 1e-4 and told["path"] == str(out)


def test_the_default_place_names_the_checkpoint(exported_runs: Path) -> None:
    run = exported_runs / "ghost"
    assert place_of(run, "onnx", None) == run / "export" / "ghost.onnx"
    assert place_of(run / "checkpoint.pt", "hub-folder", None) == run / "export" / "ghost-hub"
    shutil.copy(run / "checkpoint.pt", run / "best.pt")
    assert place_of(run / "best.pt", "safetensors", None) == run / "export" / "ghost-best.safetensors"


def test_timms_own_networks_and_ours_have_their_own_architecture(exported_runs: Path) -> None:
    own = config_of(load_network(exported_runs / "timms", {}))
    assert own["architecture"] == "test_resnet" and own["model_args"] == {"in_chans": 3}
    assert own["pretrained_cfg"]["classifier"] == "fc"
    ours = config_of(load_network(exported_runs / "small_stem", {}))
    assert ours["architecture"] == "cifar_sweeps"
    assert ours["model_args"]["network"] == "timm/test_resnet" and ours["model_args"]["arguments"] == {"stem": "cifar"}


@pytest.mark.parametrize("name", ["ghost", "timms", "handmade"])
def test_whoever_trains_a_timm_folder_further_has_the_momentum_of_the_run(
    name: str, forgetful_runs: Path, tmp_path: Path
) -> None:
    network = load_network(forgetful_runs / name, {}, check=3)
    write_timm(network, tmp_path / "timm")
    built = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True)
    assert {layer.momentum for layer in batch_norms(built)} == {0.4}


def test_whoever_builds_from_the_metadata_has_the_momentum_of_the_run(forgetful_runs: Path) -> None:
    about = load_network(forgetful_runs / "ghost", {}, check=3).description()
    data = {key: about[key] for key in models.SET_BY_DATA}
    built = models.build_model(about["network"], **about["arguments"], **data)
    assert {layer.momentum for layer in batch_norms(built)} == {0.4}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the example opens config.json in one line
def test_the_example_of_an_own_network_sets_the_momentum_of_the_run(
    forgetful_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hub_folder(load_network(forgetful_runs / "own", {}, check=3), tmp_path / "hub")
    monkeypatch.chdir(tmp_path / "hub")
    monkeypatch.syspath_prepend(".")
    (example,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    did: dict[str, Any] = {}
    exec(example, did)
    assert {layer.momentum for layer in batch_norms(did["net"])} == {0.4}


def test_a_copy_that_answers_differently_is_not_kept(
    exported_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_network(exported_runs / "ghost", {})
    weights = network.weights()
    last = [key for key in weights if key.endswith("weight")][-1]
    weights[last] = weights[last] + 0.01
    monkeypatch.setattr(type(network), "weights", lambda _: weights)
    with pytest.raises(ExportError, match=r"differ by up to .* so it was not kept"):
        write_safetensors(network, tmp_path / "x.safetensors")
    with pytest.raises(ExportError, match=r"differ by up to .* so it was not kept"):
        write_hub_folder(network, tmp_path / "x")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("scale", "kept"), [(1, False), (1000, True)])
def test_the_largest_difference_goes_by_the_largest_logit(scale: float, kept: bool, exported_runs: Path) -> None:
    """Before, large logits were refused for the rounding of float32 alone."""
    network = load_network(exported_runs / "ghost", {})
    network.__dict__["logits"] = logits = network.logits / network.logits.abs().max() * scale  # it is a cached property
    given = iter(logits)

    def answer(images: torch.Tensor) -> torch.Tensor:
        return torch.stack([next(given) for _ in images]) + 2e-4

    if kept:
        assert network.difference(answer) == pytest.approx(2e-4, rel=0.5)
    else:
        with pytest.raises(ExportError, match=r"differ by up to 0.0002, where the largest is 1, so"):
            network.difference(answer)


def test_a_loss_of_nan_is_null_in_json(exported_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(next(path.parent for path in exported_runs.rglob("checkpoint.pt")), tmp_path / "run")
    state = load_checkpoint(run / "checkpoint.pt")
    state["evaluated"] = {key: torch.full_like(value, torch.nan) if value.is_floating_point() else value
                          for key, value in state["evaluated"].items()}  # fmt: skip
    save_checkpoint(run / "checkpoint.pt", state)
    assert run_here(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["test/loss"] is None


def test_a_network_of_nan_is_one_line(exported_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "broken"
    shutil.copytree(exported_runs / "ghost", run)
    state = load_checkpoint(run / "checkpoint.pt")
    state["evaluated"] = {key: torch.full_like(value, float("nan")) if value.is_floating_point() else value
                          for key, value in state["evaluated"].items()}  # fmt: skip
    save_checkpoint(run / "checkpoint.pt", state)
    assert run_here(["export", str(run), "--to", "safetensors"]) == 2
    assert "are not finite, or not as many, so it was not kept" in capsys.readouterr().err


def test_the_card_has_what_was_measured_over_seeds_and_what_the_sweep_found(swept_runs: Path, tmp_path: Path) -> None:
    network = load_network(swept_runs / "0.1-1", {})
    write_hub_folder(network, tmp_path / "hub")
    text = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    _, header, body = text.split("---\n", 2)
    read = yaml.safe_load(header)
    (result,) = read["model-index"][0]["results"]
    assert read["model-index"][0]["name"] == "0.1-1" and read["library_name"] == "timm"
    assert result["task"]["type"] == "image-classification" and result["dataset"]["split"] == "test"
    assert result["metrics"][0]["type"] == "accuracy"
    assert result["metrics"][0]["value"] == evaluate_trained(swept_runs / "0.1-1")["test/accuracy"]
    (parsed,) = cast("ModelCardData", ModelCard(text).data).eval_results or []
    assert parsed.metric_value == result["metrics"][0]["value"]
    summaries = [read_history(swept_runs / f"0.1-{seed}").summary for seed in range(3)]
    sample = describe([round(100 * each["test/accuracy"], 8) for each in summaries])
    assert sample and sample.std is not None
    assert "3 runs of this configuration differ in their seed alone (0, 1, 2)" in body
    assert f"accuracy is {sample.mean:.2f} ± {sample.std:.2f}%" in body
    assert f"interval of the mean is [{sample.low:.2f}, {sample.high:.2f}]%" in body
    assert "- Which rate? Test accuracy" in body and "`lr=0.1`" in body
    assert "| `optimizer.lr` | `0.1` |" in body and "| `train.precision` | `auto` |" in body  # the run's own


def test_the_card_says_how_many_seeds_are_in_no_mean(swept_runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rates"
    shutil.copytree(swept_runs, folder)
    summary = folder / "0.1-2" / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "status": "diverged"}))
    write_hub_folder(load_network(folder / "0.1-1", {}), tmp_path / "hub")
    text = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "2 runs of this configuration differ in their seed alone (0, 1)" in text
    assert "1 more run of it is in no mean: diverged, at chance, or stopped early." in text


@pytest.mark.parametrize(
    ("outcome", "values", "said"),
    [
        ("", {"test/loss": 0.0021}, "(+0.00207, p "),  # before: +0.00
        ("# Outcome: time/train_seconds, lower", {"time/train_seconds": 90.0}, "(ratio 3, p "),  # before: +1.10
    ],
)
def test_the_card_writes_a_difference_as_the_page_of_the_sweep_does(
    outcome: str, values: dict[str, float], said: str, swept_runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "rates"
    shutil.copytree(swept_runs, folder)
    sweep = (folder / "rates.yaml").read_text().replace("test/accuracy, goal: maximize", "test/loss, goal: minimize")
    question, _, rest = sweep.partition("\n")
    (folder / "rates.yaml").write_text("\n".join([question, *filter(None, [outcome]), rest]))
    for rate, times in ((0.1, 1.0), (0.001, 1 / 3 if outcome else 0.015)):
        for seed in range(3):
            path = folder / f"{rate}-{seed}" / "summary.json"
            own = {key: value * times * (1 + seed * rate / 100) for key, value in values.items()}
            path.write_text(json.dumps({**json.loads(path.read_text()), **own, "test/accuracy": 1.0}))
    seeds = seeds_of(folder / "0.1-1")
    assert seeds is not None
    (verdict,) = (each for each in seeds.verdicts if each.startswith("Compared with the best, lr=0.001: different"))
    assert said in verdict


def test_a_run_without_other_seeds_says_so(exported_runs: Path, tmp_path: Path) -> None:
    write_hub_folder(load_network(exported_runs / "ghost", {}, check=3), tmp_path / "hub")
    text = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "This is one run." in text and "What its sweep found" not in text
    assert "3 of 16 test images" in text
    write_hub_folder(load_network(exported_runs / "ghost" / "checkpoint.pt", {}, check=3), tmp_path / "other")
    text = (tmp_path / "other" / "README.md").read_text(encoding="utf-8")
    assert "the weights of `checkpoint.pt` of one run" in text and "is not known" not in text
    own = tmp_path / "own"
    write_hub_folder(load_network(exported_runs / "tied", {}), own)
    assert {each.name for each in own.iterdir()} == {"README.md", "config.json", "model.safetensors", "my_nets.py"}
    card = (own / "README.md").read_text(encoding="utf-8")
    assert "from my_nets import Tied" in card and "\n`my-nets.py:Tied` with " in card
    for name in ("README.md", "config.json", "model.safetensors"):
        body = (own / name).read_bytes()
        assert str(exported_runs).encode() not in body and b"/images" not in body, name


def test_whoever_loads_a_run_that_has_not_finished_is_told(
    exported_runs: Path, small_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: weights from before the first step were measured, compared and exported as trained ones."""
    run, ended = tmp_path / "high", str(exported_runs / "ghost")
    result = start_run(load_config([*small_run, "optimizer.lr=1e6"]).config, runs=tmp_path, name="high")
    (run / "summary.json").write_text(json.dumps({**result.summary, "test/accuracy": 0.5}))
    capsys.readouterr()
    for typed in (["evaluate", str(run)], ["compare", ended, str(run)], ["export", str(run), "--to", "hub-folder"]):
        assert run_here(typed) == 0
        assert capsys.readouterr().err == f"{run}: this run diverged: these are its weights of epoch 0 of 3\n"
    card = (run / "export" / "high-hub" / "README.md").read_text(encoding="utf-8")
    assert (
        "This run diverged: these are its weights of epoch 0 of 3." in card and "as the run measured it last, " in card
    )
    (run / "summary.json").unlink()  # as if it had been killed
    shutil.copy(run / "checkpoint.pt", run / "best.pt")
    evaluate_trained(run / "checkpoint.pt")
    said = f"{run}/checkpoint.pt: this run has not ended: these are its weights of epoch 0 of 3\n"
    assert capsys.readouterr().err == said
    evaluate_trained(run / "best.pt")  # which is chosen, and not where the run is
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["nothing", "--to", "onnx"], "nothing: there is no such run or checkpoint"),
        (["empty", "--to", "timm"], "no checkpoint.pt in it"),
        (["ghost", "--to", "onx"], "--to: no format is called 'onx'; did you mean 'onnx'?"),
        (
            ["ghost", "--to", "safetensors", "--out", "there"],
            "there: exists; remove it, or give another place: --out PATH",
        ),
        (["ghost", "--to", "timm", "--out", "there/in"], "there/in: cannot be made: "),
        (
            ["ghost", "--to", "safetensors", "--out", "net.onnx"],
            "--out: net.onnx: --to safetensors writes no .onnx; write --to onnx",
        ),
        (
            ["tied", "--to", "timm"],
            "is a network of your own, which timm cannot build; take safetensors, onnx or hub-folder",
        ),
    ],
)
def test_mistakes_are_one_line(
    typed: list[str],
    said: str,
    exported_runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("")
    (tmp_path / "empty").mkdir()
    assert run_here(["export", "--runs", str(exported_runs), *typed]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line


def test_a_missing_extra_is_named(
    exported_runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    assert run_here(["export", str(exported_runs / "ghost"), "--to", "onnx"]) == 2
    said = "error: --to onnx: no onnxruntime here: pip install 'cifar-sweeps[export]'\n"
    assert capsys.readouterr().err == said
