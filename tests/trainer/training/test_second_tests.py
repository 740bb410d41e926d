"""Second test sets of whole runs: measured at the end, beside the first, and never chosen on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run_here
from data_refused import levels
from run_ends import broken_at, differing, rows_of
from second_test_files import write_corrupted, write_new_test, write_npz

from trainer.config import load_config
from trainer.data.second_tests import CORRUPTIONS
from trainer.errors import ConfigError, SweepError
from trainer.runs.checkpoint import load_checkpoint, save_checkpoint
from trainer.runs.folder import config_hash
from trainer.sweep.check import check
from trainer.sweep.file import read_sweep
from trainer.training.run import resume_run, start_run
from trainer.training.trained import evaluate_trained, load_trained

CHOOSING = ["data.val_fraction=0.25", "train.keep_best=true", "train.early_stop.patience=2",
            "schedule.name=reduce_on_plateau"]  # fmt: skip


@pytest.mark.parametrize("choice", ["protocol=best_test", "train.early_stop.restore_best=true"])
def test_nothing_is_chosen_on_a_second_test_set(tmp_path: Path, small_run: list[str], choice: str) -> None:
    """With all choices on, all but the numbers of the second set are to the bit those of a run without one."""
    path = write_npz(tmp_path / "photos.npz")
    words = [*small_run, *CHOOSING, choice, "train.epochs=5"]
    alone = load_config(words).config
    beside = load_config([*words, f"data.also_test=[{path}]"]).config
    assert config_hash(beside) == config_hash(alone)
    summaries = [start_run(config, runs=tmp_path, name=name).summary for config, name in ((alone, "a"), (beside, "b"))]
    rows = rows_of(tmp_path / "b")
    assert [key for row in rows[:-1] for key in row if key.startswith("also/")] == []
    also = {"also/photos/loss", "also/photos/accuracy", "also/photos/accuracy_plain"}
    assert also <= rows[-1].keys() and also == summaries[1].keys() - summaries[0].keys()
    assert [{key: row[key] for key in row if key not in also} for row in rows] == rows_of(tmp_path / "a")
    written = ("/counters/latest/also", "/config/data/also")
    places = differing(tmp_path / "a", tmp_path / "b", apart_from=(*written, "/sinks"))
    assert places == []
    best = [load_checkpoint(tmp_path / name / "best.pt") for name in "ab"]
    assert best[0]["epoch"] == best[1]["epoch"]
    assert all(torch.equal(best[0]["evaluated"][key], best[1]["evaluated"][key]) for key in best[0]["evaluated"])


@pytest.mark.parametrize(
    "key", ["train.early_stop.monitor", "schedule.name=reduce_on_plateau schedule.monitor", "protocol"]
)
def test_no_key_of_a_choice_takes_a_second_test_set(key: str) -> None:
    with pytest.raises(ConfigError, match="is not a choice"):
        load_config(f"{key}=also/cifar10.1/accuracy".split())


def test_no_sweep_is_by_a_second_test_set(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "method: grid\nmetric: {name: also/cifar10.1/accuracy, goal: maximize}\n"
        'command: ["${env}", trainer, train, "${args_no_hyphens}"]\nparameters: {seed: {values: [0, 1]}}\n'
    )
    with pytest.raises(SweepError, match="a second test set is reported and never chosen on; use val/accuracy"):
        check(read_sweep(path))


@pytest.fixture
def ten_classes(tmp_path: Path) -> Path:
    """An .npz set with CIFAR-10's number of classes, and CIFAR-10.1 and CIFAR-10-C beside it."""
    labels = np.arange(20) % 10
    np.savez(tmp_path / "ten.npz", x_train=levels(20, 32, 32, 3), y_train=labels, x_test=levels(20, 32, 32, 3, seed=1),
             y_test=labels)  # fmt: skip
    return write_corrupted(write_new_test(tmp_path))


def words_of(root: Path) -> list[str]:
    return ["data.name=npz", f"data.root={root}/ten.npz", "model.name=lenet5", "train.epochs=1", "train.device=cpu",
            "train.precision=float32", "train.batch_size=10", f"data.also_root={root}", "sink.wandb.mode=disabled",
            "data.also_test=[cifar10.1,cifar10-c]"]  # fmt: skip


def test_cifar10_c_has_means_corruptions_and_errors_by_severity(ten_classes: Path) -> None:
    summary = start_run(load_config(words_of(ten_classes)).config, runs=ten_classes, name="a").summary
    trained = load_trained(ten_classes / "a")
    right: dict[str, list[bool]] = {}  # computed a second way, image by image
    with torch.inference_mode():
        for number, name in enumerate([*CORRUPTIONS, "spatter"]):
            images = torch.from_numpy(levels(50, 32, 32, 3, seed=number)).permute(0, 3, 1, 2)
            classes = trained.model(trained.normalize(images)).argmax(1).tolist()
            right[name] = [guess == place % 10 for place, guess in enumerate(classes)]
    standard = [right[name] for name in CORRUPTIONS]
    assert summary["also/cifar10-c/accuracy"] == pytest.approx(np.mean(standard))
    for name in ("fog", "spatter"):
        assert summary[f"also/cifar10-c/{name}/accuracy"] == pytest.approx(np.mean(right[name]))
    errors = [1 - np.mean([marks[10 * level : 10 * level + 10] for marks in standard]) for level in range(5)]
    assert [summary[f"also/cifar10-c/severity{level}/error"] for level in range(1, 6)] == pytest.approx(errors)
    assert {"also/cifar10.1/accuracy", "also/cifar10.1/loss", "also/cifar10-c/loss"} <= summary.keys()


def test_evaluate_measures_them_again_or_for_the_first_time(
    ten_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(ten_classes)
    summary = start_run(load_config(words).config, runs=ten_classes / "runs", name="a").summary
    start_run(load_config(words[:-1]).config, runs=ten_classes / "runs", name="b")
    again = evaluate_trained(ten_classes / "runs" / "a")
    assert again == {key: summary[key] for key in again} and "also/cifar10-c/snow/accuracy" in again
    flags = ["--also-test", "cifar10.1", "--also-test", "cifar10-c", "--runs", str(ten_classes / "runs")]
    capsys.readouterr()
    assert run_here(["evaluate", "b", "--json", *flags]) == 0
    assert json.loads(capsys.readouterr().out) == again
    assert run_here(["evaluate", "b", *flags]) == 0
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert shown["also/cifar10.1/accuracy"] == f"{again['also/cifar10.1/accuracy']:.2%}"
    assert run_here(["evaluate", "b", *flags, "--also-root", "/nowhere"]) == 2
    assert "/nowhere/cifar10.1_v6_data.npy: No such file" in capsys.readouterr().err
    for words in (["b"], ["a", "--also-test", "none"]):  # before: it was silently left out
        assert run_here(["evaluate", *words, *flags[4:], "--also-root", "/nowhere"]) == 2
        assert "--also-root: no second test set is measured" in capsys.readouterr().err


def test_evaluate_says_that_the_images_are_others(ten_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before: a wrong --data-root was measured like the right one."""
    run = start_run(load_config(words_of(ten_classes)[:-1]).config, runs=ten_classes, name="a").folder
    same, other = ten_classes / "same.npz", ten_classes / "other.npz"
    with np.load(ten_classes / "ten.npz") as arrays:
        np.savez(same, **arrays)
        np.savez(other, **{**arrays, "x_test": 255 - arrays["x_test"]})
    capsys.readouterr()
    for root, said in ((same, ""), (other, f"npz: these are not the images that {run} was trained with\n")):
        assert run_here(["evaluate", str(run), "--data-root", str(root)]) == 0
        assert capsys.readouterr().err == said


def with_brighter_training_images(path: Path) -> None:
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "x_train": 128 + arrays["x_train"] // 2})


@pytest.mark.parametrize(("older", "given"), [(False, False), (True, False), (True, True)])
def test_a_network_keeps_the_normalisation_that_it_was_trained_with(
    ten_classes: Path, capsys: pytest.CaptureFixture[str], older: bool, given: bool
) -> None:
    """Before: images that had changed in place were normalised by their new mean and std, without a word."""
    words = [*words_of(ten_classes), *(["data.mean=[0.4,0.4,0.4]", "data.std=[0.2,0.2,0.2]"] if given else [])]
    result = start_run(load_config(words).config, runs=ten_classes, name="a")
    if older:
        state = load_checkpoint(result.folder / "checkpoint.pt")
        del state["normalisation"]
        save_checkpoint(result.folder / "checkpoint.pt", state)
    capsys.readouterr()
    again = evaluate_trained(result.folder)
    assert again == {key: result.summary[key] for key in again} and capsys.readouterr().err == ""
    with_brighter_training_images(ten_classes / "ten.npz")
    unknown = older and not given
    assert (evaluate_trained(result.folder) == again) != unknown
    said = f"npz: these are not the images that {result.folder} was trained with"
    told = "; it has not kept their mean and std, so its numbers can be wrong" if unknown else ""
    assert capsys.readouterr().err == f"{said}{told}\n"


def test_other_classes_end_a_run_before_it_trains(
    tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_npz(tmp_path / "photos.npz", classes=3)
    words = [*small_run, f"data.also_test=[{path}]"]
    assert run_here(["train", *words, "--runs", str(tmp_path / "runs")]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "decoding" not in each]
    assert line == f"error: data.also_test: {path} has 3 classes, but folder has 2"
    assert not [*tmp_path.glob("runs/*/")]


def test_a_resume_may_add_a_second_test_set(tmp_path: Path, small_run: list[str]) -> None:
    with broken_at(9):
        start_run(load_config(small_run).config, runs=tmp_path, name="a")
    path = write_npz(tmp_path / "photos.npz")
    summary = resume_run(tmp_path / "a", {"data": {"also_test": [str(path)]}}).summary
    assert "also/photos/accuracy" in summary


def test_augmented_views_are_those_of_the_run(tmp_path: Path, small_run: list[str]) -> None:
    """Before: an evaluation averaged the views of all images, and the run those of a share."""
    words = [*small_run, "train.tta=hflip", "train.tta_share=0.25", f"data.also_test=[{write_npz(tmp_path / 'x.npz')}]"]
    summary = start_run(load_config(words).config, runs=tmp_path, name="a").summary
    again = evaluate_trained(tmp_path / "a")
    assert again == {key: summary[key] for key in again} and "also/x/accuracy_plain" in again


def test_a_run_whose_second_test_set_is_gone_can_be_evaluated_without_it(
    tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_npz(tmp_path / "x.npz")
    start_run(load_config([*small_run, f"data.also_test=[{path}]"]).config, runs=tmp_path, name="a")
    path.unlink()
    assert run_here(["evaluate", str(tmp_path / "a")]) == 2
    capsys.readouterr()
    assert run_here(["evaluate", str(tmp_path / "a"), "--also-test", "none", "--json"]) == 0
    assert not [key for key in json.loads(capsys.readouterr().out) if key.startswith("also/")]
