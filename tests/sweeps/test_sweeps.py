"""The shipped sweeps: each asks one question, its header says what it runs; every published row is a point."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from shipped_sweeps import FILES, FOLDER, points, resolved, sweep_of

from trainer.config import RunConfig
from trainer.config.doubts import doubts
from trainer.config.overrides import nest
from trainer.data.sources import shape_of
from trainer.published import rows, runs_of
from trainer.sweep.command import COMMAND
from trainer.training.networks import build_network
from trainer.training.optimizers import build_optimizer

ROWS = rows()
EXPERIMENTS = {row.experiment: row.sweep for row in ROWS}
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def header(path: Path) -> dict[str, str]:
    """The question, and the lines `# Word: ...` of the comment above a sweep."""
    lines = path.read_text(encoding="utf-8").splitlines()
    labelled = (re.fullmatch(r"# (Answers|Runs|Control|Time|On W&B|Here): +(.+)", line) for line in lines)
    return {"question": lines[0]} | {match[1]: match[2] for match in labelled if match}


@each_file
def test_a_header_names_just_the_experiments_that_name_its_sweep(path: Path) -> None:
    answers = header(path).get("Answers", "").split(", ")
    named = [word for word in answers if re.match(r"[0-9a-z]{4}-", word)]
    assert sorted(named) == sorted(experiment for experiment, sweep in EXPERIMENTS.items() if sweep == path.stem)


def test_each_experiment_names_a_sweep_that_is_there() -> None:
    assert len(EXPERIMENTS) == 39
    assert {(row.experiment, row.sweep) for row in ROWS} == set(EXPERIMENTS.items())
    assert set(EXPERIMENTS.values()) <= {path.stem for path in FILES}


def test_the_pages_count_the_files() -> None:
    readme, page = ((FOLDER.parent / name).read_text(encoding="utf-8") for name in ("README.md", "docs/reports.md"))
    (all_files,) = re.findall(r"`sweeps/` holds (\d+)\s+such\s+files", readme)
    ((answering, own),) = re.findall(r"which (\d+)\s+of the files in `sweeps/` answer\. Another (\d+) files", page)
    published = len(set(EXPERIMENTS.values()))
    assert [int(each) for each in (all_files, answering, own)] == [len(FILES), published, len(FILES) - published]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_published_row_is_a_point_of_its_sweep(experiment: str) -> None:
    """Of several points that agree with a row, the first is meant: two runs that differ must not share one."""
    grid = points(FOLDER / f"{EXPERIMENTS[experiment]}.yaml")
    meant: dict[int, Mapping[str, Any]] = {}
    for words in (words for row in ROWS if row.experiment == experiment for words in runs_of(row)):
        said = resolved(tuple(words), recipe="none")
        asked = {key: said[key] for key in (word.partition("=")[0] for word in words)}
        agreeing = [place for place, point in enumerate(grid) if asked.items() <= point.items()]
        assert agreeing, words
        assert meant.setdefault(agreeing[0], asked) == asked


@each_file
def test_no_two_points_of_a_grid_are_the_same_run(path: Path) -> None:
    grid = points(path)
    assert not [place for place, point in enumerate(grid) if point in grid[:place]]


@each_file
def test_network_and_optimizer_of_each_point_can_be_built(path: Path) -> None:
    """A config allows some of what they refuse: a momentum for no BatchNorm, or a rate for no such layer."""
    configs = [RunConfig.model_validate(nest(point)) for point in points(path)]
    for config in {repr((each.model, each.optimizer)): each for each in configs}.values():
        with torch.device("meta"):
            net = build_network(config.model, shape_of(config.data))
        build_optimizer(net, config.optimizer, fused=False)


@each_file
def test_each_point_reaches_all_epochs_that_it_names(path: Path) -> None:
    """Before: the shortest runs of cpu94_ideas ended before the images had grown."""
    for point in points(path):
        assert list(doubts(nest(point))) == []


@each_file
def test_a_header_asks_a_question_and_says_how_much_is_run_and_how(path: Path) -> None:
    sweep, said, found = sweep_of(path), header(path), points(path)
    assert re.fullmatch(r"# [A-Z].+\?", said["question"])
    assert re.search(r"\d (min|h), (estimate|measured)", said["Time"])
    assert f"wandb sweep sweeps/{path.name}" in said["On W&B"]
    assert said["Here"] == f"trainer sweep run sweeps/{path.name}"
    runs = re.fullmatch(
        r"(\d+) configurations? x (\d+) seeds? = (\d+) runs, (at most )?([\d.]+(?: or [\d.]+)*) epochs? each",
        said["Runs"],
    )
    assert runs
    count = len(found) if sweep.file.method == "grid" else sweep.file.run_cap
    seeds = len(sweep.space["seed"].choices)
    assert [int(runs[group]) for group in (1, 2, 3)] == [count, seeds, (count or 0) * seeds]
    stops = sweep.file.early_terminate or any(point["train.early_stop.patience"] for point in found)
    assert bool(runs[4]) == bool(stops)
    assert [float(epochs) for epochs in runs[5].split(" or ")] == sorted({point["train.epochs"] for point in found})


@each_file
def test_a_file_is_for_this_trainer_and_over_seeds(path: Path) -> None:
    sweep = sweep_of(path)
    assert not sweep.warnings
    assert (sweep.file.project or "").startswith("cifar-sweeps")
    assert sweep.file.name == path.stem
    assert sweep.file.command == COMMAND
    assert "seed" in sweep.space
    assert sweep.file.parameters.keys() == sweep.space.keys()  # flat: a nested section would be other keys here
    assert sweep.file.metric
    watched = "test/accuracy" if sweep.file.method == "grid" else "val/accuracy"  # a search must not see the test set
    assert (sweep.file.metric.name, sweep.file.metric.goal) == (watched, "maximize")


def test_each_trick_of_fastresnet9_is_left_out_once_and_alone() -> None:
    """Before: all four were compared at once with a network without any."""
    whole, *without = points(FOLDER / "fastresnet9_tricks.yaml")
    changed = [sorted(key for key in {*whole, *other} if whole.get(key) != other.get(key)) for other in without]
    assert changed == [["model.pool_first"], ["loss.label_smoothing"], ["model.ghost_size"], ["train.tta"]]


def test_each_idea_of_cpu94_is_left_out_once_and_alone() -> None:
    grid = [point for point in points(FOLDER / "cpu94_ideas.yaml") if point["train.epochs"] == 12]
    whole, *without = grid
    sections = [sorted({key for key in {*whole, *other} if whole.get(key) != other.get(key)}) for other in without]
    muon = sections.pop(1)
    assert all(key.startswith("optimizer.") for key in muon) and "optimizer.name" in muon
    assert sections == [
        ["augment.side.from_epochs", "augment.side.pixels"],
        ["optimizer.renormalise"],
        ["optimizer.expand", "optimizer.format", "optimizer.settle"],
        ["model.init"],
        ["model.whitening_bias", "optimizer.first_bias.end_epoch"],
        ["model.norm_momentum"],
        ["loss.label_smoothing"],
        ["augment.flip.mode"],
        ["train.tta"],
        ["augment.intensity.brightness", "augment.intensity.contrast"],
    ]


def test_the_arm_without_muon_has_the_settings_of_the_first_airbench94() -> None:
    """Its script divides by 1024 (1 + 1 / (1 - momentum)) and multiplies the decay by the batch size."""
    found = resolved(("recipe=cpu94_without_muon",))
    lr = 11.5 / (1024 * (1 + 1 / (1 - 0.85)))
    decay = 0.0153 * found["train.batch_size"] / (1024 * (1 + 1 / (1 - 0.85))) / lr
    assert found["optimizer.lr"] == pytest.approx(lr, rel=1e-3)
    assert found["optimizer.weight_decay"] == found["optimizer.first_bias.weight_decay"]
    assert found["optimizer.weight_decay"] == pytest.approx(decay, rel=1e-3)
    assert found["optimizer.decay_norm_and_bias"] == pytest.approx(decay / 64, rel=2e-3)
