"""Surfaces of a trained run: right at every point, the same after an interruption, the network unchanged."""

import copy
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import run_here
from torch.nn import functional as F

from trainer.config import load_config
from trainer.errors import CheckpointError, ConfigError
from trainer.landscape import surface
from trainer.landscape.network import MeasuredNetwork, load_network
from trainer.landscape.planes import path_plane, random_plane
from trainer.landscape.surface import measure_surface
from trainer.training.run import start_run
from trainer.training.trained import evaluate_trained, kept_epochs, load_weights


@pytest.fixture
def network(trained_run: Path) -> MeasuredNetwork:
    return load_network(trained_run, split="train", images=20, seed=0)


def measured(network: MeasuredNetwork, folder: Path, **settings: Any) -> dict[str, Any]:
    asked = {"plane": "random", "dims": 2, "points": 3, "reach": 0.5} | settings
    return json.loads(measure_surface(network, **asked, folder=folder).read_text())


def test_the_middle_of_a_surface_over_the_whole_test_set_is_what_evaluate_measures(
    trained_run: Path, tmp_path: Path
) -> None:
    network = load_network(trained_run, split="test", images=1000, seed=3)
    found = measured(network, tmp_path, dims=1)
    assert found["settings"]["images"] == 16  # the whole test set
    expected = evaluate_trained(trained_run, {"train.tta": "none"})
    middle = next(row for row in found["rows"] if row["alpha"] == 0)
    assert middle["loss"] == pytest.approx(expected["test/loss"], rel=1e-6)
    assert middle["accuracy"] == expected["test/accuracy"]


def test_other_images_at_another_root_are_measured_anew(trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    """Before: the result of the first images was returned for the second ones."""
    other = tmp_path / "images"
    shutil.copytree(image_folder, other)
    for path in (other / "train" / "dark").iterdir():
        path.write_bytes((image_folder / "train" / "bright" / path.name).read_bytes())
    roots: tuple[dict[str, Any], ...] = ({}, {"data.root": str(other)})
    found = [
        measured(load_network(trained_run, changes, split="train", images=40, seed=0), tmp_path / "out", dims=1)
        for changes in roots
    ]
    assert found[0]["rows"] != found[1]["rows"]


def test_every_point_is_the_loss_of_a_copy_whose_weights_were_moved_by_hand(
    network: MeasuredNetwork, tmp_path: Path
) -> None:
    first, second = random_plane(network, 2, 3, 0.5).directions
    images = network.normalize(network.split.images)
    rows = measured(network, tmp_path)["rows"]
    assert [(row["alpha"], row["beta"]) for row in rows] == list(itertools.product((-0.5, 0, 0.5), repeat=2))
    for row in rows:
        moved = copy.deepcopy(network.model).eval()
        for w, d, e in zip(moved.parameters(), first, second, strict=True):
            w.data += row["alpha"] * d + row["beta"] * e
        logits = moved(images)
        assert row["loss"] == pytest.approx(F.cross_entropy(logits, network.split.labels).item(), rel=1e-5)
        assert row["accuracy"] == (logits.argmax(1) == network.split.labels).sum().item() / 20


def test_images_are_those_of_the_seed_without_augmentation(trained_run: Path) -> None:
    one, same, other = (load_network(trained_run, split="train", images=20, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.split.images, same.split.images)
    assert not torch.equal(one.split.images, other.split.images)
    more = load_network(trained_run, split="train", images=30, seed=0)
    assert torch.equal(more.split.images[:20], one.split.images)


def test_a_surface_leaves_weights_statistics_and_generators_as_they_were(
    network: MeasuredNetwork, tmp_path: Path
) -> None:
    before, generator = copy.deepcopy(network.model.state_dict()), torch.get_rng_state()
    for plane in ("random", "path"):
        measured(network, tmp_path, plane=plane)
    torch.testing.assert_close(network.model.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not network.model.training


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class _Interrupted:
    """A measurement that raises KeyboardInterrupt after so many points."""

    def __init__(self, points: int) -> None:
        self.left, self._measure = points, surface.loss_and_accuracy

    def __call__(self, network: MeasuredNetwork) -> dict[str, float]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self._measure(network)


@pytest.mark.parametrize("plane", ["random", "path"])
def test_a_resumed_surface_is_bit_identical(
    network: MeasuredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plane: str
) -> None:
    measured(network, tmp_path / "unbroken", plane=plane)
    with monkeypatch.context() as patch:
        patch.setattr(surface, "loss_and_accuracy", _Interrupted(4))
        with pytest.raises(KeyboardInterrupt):
            measured(network, tmp_path / "broken", plane=plane)
    (journal,) = (tmp_path / "broken").iterdir()
    assert len(journal.read_text().splitlines()) == 1 + 4  # settings and the measured points
    with journal.open("a") as file:
        file.write('{"alpha": 0.0, "be')  # as after a kill
    with monkeypatch.context() as patch:
        patch.setattr(surface, "loss_and_accuracy", rest := _Interrupted(5))
        measured(network, tmp_path / "broken", plane=plane)
    assert rest.left == 0
    unbroken, broken = (files(tmp_path / name) for name in ("unbroken", "broken"))
    assert broken == unbroken
    assert len(unbroken) == 1


def test_damage_in_what_was_measured_is_one_line_and_deletes_nothing(
    network: MeasuredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(surface, "loss_and_accuracy", _Interrupted(4))
        with pytest.raises(KeyboardInterrupt):
            measured(network, tmp_path)
    (journal,) = tmp_path.iterdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    for bad in (b"{oops\n", b"\xff\n", b"[]\n", b"[" * 200_000 + b"\n"):
        journal.write_bytes(b"".join([*lines[:2], bad, *lines[3:]]))
        before = journal.read_bytes()
        for _ in range(2):  # the lock is free again
            with pytest.raises(CheckpointError, match=r"\.jsonl: line 3: expected a JSON object; remove it and"):
                measured(network, tmp_path)
        assert journal.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "damaged, because it is not JSON"), ("[]", "expected a JSON object"), ("{}", "without settings")],
)
def test_a_damaged_result_is_one_line(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    command = [
        "landscape",
        "surface",
        str(trained_run),
        "--dims",
        "1",
        "--points",
        "3",
        "--images",
        "4",
        "--out",
        str(tmp_path),
    ]
    assert run_here(command) == 0
    (result,) = tmp_path.iterdir()
    result.write_text(content)
    capsys.readouterr()
    assert run_here(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {result}: ") and said in line


def test_the_same_settings_are_measured_once_and_others_have_their_own_file(
    network: MeasuredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(network, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(surface, "loss_and_accuracy", _Interrupted(0))
        measured(network, tmp_path)
    for different in ({"points": 5}, {"reach": 0.25}, {"dims": 1}, {"plane": "path"}):
        measured(network, tmp_path, **different)
    measured(load_network(network.run, split="train", images=20, seed=1), tmp_path)
    assert len(list(tmp_path.iterdir())) == 6


def test_two_processes_do_not_measure_one_surface_at_once(network: MeasuredNetwork, tmp_path: Path) -> None:
    def meanwhile(_: MeasuredNetwork) -> dict[str, float]:
        with pytest.raises(CheckpointError, match="another process is measuring this"):
            measured(network, tmp_path)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface, "loss_and_accuracy", meanwhile)
        with pytest.raises(KeyboardInterrupt):
            measured(network, tmp_path)


@pytest.mark.parametrize(("reach", "said"), [(0, "only the network itself"), (float("inf"), "take a finite number")])
def test_a_reach_that_spans_nothing_is_refused(
    network: MeasuredNetwork, tmp_path: Path, reach: float, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"--reach: .*{said}"):
        measured(network, tmp_path, dims=1, reach=reach)


@pytest.mark.parametrize("plane", ["random", "path"])
@pytest.mark.parametrize("reach", [1e40, 1e308])
def test_a_reach_beyond_float32_is_one_line_before_anything_is_measured(
    network: MeasuredNetwork, tmp_path: Path, plane: str, reach: float
) -> None:
    """Before: 1e40 was a traceback, 1e308 a result whose places were null, which no panel could draw."""
    with pytest.raises(ConfigError, match=r"--reach: 1e\+\d+ goes further than float32 numbers do"):
        measured(network, tmp_path, plane=plane, dims=1, reach=reach)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("dims", "points", "most"), [(1, 10**30 + 1, "1,000,000"), (2, 1001, "1,000")])
def test_more_points_than_memory_has_room_for_are_one_line(
    network: MeasuredNetwork, tmp_path: Path, dims: int, points: int, most: str
) -> None:
    with pytest.raises(ConfigError, match=f"--points: {points} along .* take at most {most}"):
        measured(network, tmp_path, dims=dims, points=points)


def test_the_plane_of_a_path_may_end_with_the_path(network: MeasuredNetwork, tmp_path: Path) -> None:
    found = measured(network, tmp_path, plane="path", reach=0)
    assert min(row["alpha"] for row in found["rows"]) == min(place["alpha"] for place in found["path"])


def test_losses_that_are_not_finite_are_counted(network: MeasuredNetwork, tmp_path: Path) -> None:
    assert "2 losses are not finite" in surface.as_text(measured(network, tmp_path, dims=1, reach=1e38))


def test_a_loss_that_is_not_finite_is_null(network: MeasuredNetwork, tmp_path: Path) -> None:
    rows = measured(network, tmp_path, dims=1, reach=1e38)["rows"]
    assert [row["loss"] is None for row in rows] == [True, False, True]


def test_the_plane_of_training_contains_the_projected_path(network: MeasuredNetwork, tmp_path: Path) -> None:
    found = measured(network, tmp_path, plane="path", points=4, reach=0.25)
    assert [place["epoch"] for place in found["path"]] == [0, 1, 2, 3]
    assert (found["path"][-1]["alpha"], found["path"][-1]["beta"]) == pytest.approx((0, 0), abs=1e-6)
    assert found["path"][0]["alpha"] > 0
    assert 0.5 < sum(found["explained"]) <= 1 + 1e-6
    directions = path_plane(network, 2, 4, 0.25).directions
    moved = copy.deepcopy(network.model)
    load_weights(moved, kept_epochs(network.run)[1])
    for axis, direction in zip(("alpha", "beta"), directions, strict=True):
        pairs = zip(moved.parameters(), network.parameters(), direction, strict=True)
        place = sum(((w - final) * d).sum().item() for w, final, d in pairs)
        assert found["path"][1][axis] == pytest.approx(place, abs=1e-5)
        assert sum(d.square().sum().item() for d in direction) == pytest.approx(1, rel=1e-5)
        along = sorted({row[axis] for row in found["rows"]})
        places = [place[axis] for place in found["path"]]
        extent = max(places) - min(places)
        assert along == pytest.approx([min(places) + extent * share for share in (-0.25, 0.25, 0.75, 1.25)], abs=1e-6)


def test_the_command_measures_prints_and_keeps_and_ctrl_c_exits_with_130(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--runs", str(trained_run.parent), "--points", "3", "--out", str(tmp_path)]
    arguments = ["landscape", "surface", "tiny", *flags]
    with monkeypatch.context() as patch:
        patch.setattr(surface, "loss_and_accuracy", _Interrupted(2))
        assert run_here(arguments) == 130
    out, err = capsys.readouterr()
    said = "interrupted: finished measurements are kept; run the same command to continue"
    assert (out, err.splitlines()[-1]) == ("", said)
    assert run_here(arguments) == 0
    out, err = capsys.readouterr()
    assert "2 of 9 done" in err
    assert json.loads(Path(out.splitlines()[-1]).read_text())["settings"]["images"] == 48
    assert run_here([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 9


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"points": 4}, "--points: an even number has no point at the network itself; take 5"),
        ({"plane": "path"}, "the run kept no weights during training; train with probe.path.every_epochs=1"),
    ],
)
def test_each_impossible_setting_is_one_line_with_its_cure(
    small_run: list[str], tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    folder = start_run(load_config([*small_run, "train.max_steps=1"]).config, runs=tmp_path).folder
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        measured(load_network(folder, split="train", images=8, seed=0), tmp_path / "out", **settings)
    assert len(caught.value.problems) == 1 and said in caught.value.problems[0]
    assert not (tmp_path / "out").exists()


def test_other_kept_epochs_are_another_plane_and_files_of_other_names_are_no_epochs(
    trained_run: Path, tmp_path: Path
) -> None:
    """Before: the plane of all epochs was returned after some were removed, and `copy.pt` was a traceback."""
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    network, out = load_network(run, split="train", images=8, seed=0), tmp_path / "out"
    for name in ("copy.pt", "1_0.pt", "nan.pt", "2 .pt"):
        shutil.copy(run / "path" / "1.pt", run / "path" / name)
    whole = measured(network, out, plane="path", dims=1)
    (run / "path" / "1.pt").rename(tmp_path / "1.pt")
    assert [place["epoch"] for place in measured(network, out, plane="path", dims=1)["path"]] == [0, 2, 3]
    (tmp_path / "1.pt").rename(run / "path" / "1.pt")
    assert measured(network, out, plane="path", dims=1) == whole
    assert [place["epoch"] for place in whole["path"]] == whole["settings"]["kept_epochs"] == [0, 1, 2, 3]
    assert len(list(out.iterdir())) == 2


def test_two_kept_epochs_span_a_line_and_no_plane(trained_overrides: list[str], tmp_path: Path) -> None:
    config = load_config([*trained_overrides, "probe.path.every_epochs=3"]).config
    network = load_network(start_run(config, runs=tmp_path).folder, split="train", images=8, seed=0)
    with pytest.raises(CheckpointError, match=r"2 kept epochs span fewer than 2 directions; .* or take --dims 1"):
        measured(network, tmp_path / "out", plane="path")
    found = measured(network, tmp_path / "out", plane="path", dims=1)
    assert found["explained"] == pytest.approx([1])
