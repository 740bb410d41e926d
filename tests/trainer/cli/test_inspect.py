"""`trainer inspect` and `trainer compare`, as typed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import run_here
from PIL import Image
from standin import Standin

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.inspect import comparison
from trainer.inspect.network import InspectedNetwork, load_network
from trainer.runs.checkpoint import load_checkpoint, save_checkpoint
from trainer.training.run import start_run
from trainer.training.trained import evaluate_trained

PICTURES = {"confusion_matrix", "reliability", "layer_statistics", "mistakes", "filters", "feature_maps", "grad_cam"}


@pytest.fixture(scope="module")
def runs(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks with two seeds each, trained for an epoch on eight images, so that there are mistakes."""
    folder = tmp_path_factory.mktemp("runs")
    overrides = [
        "data.name=folder",
        f"data.root={image_folder}",
        "data.image_size=8",
        "data.train_size=8",
        "train.epochs=1",
        "train.batch_size=8",
        "train.device=cpu",
        "augment.crop.padding=1",
        "sink.wandb.mode=disabled",
    ]
    networks = {
        "ghost": ["model.name=fastresnet9", "model.width=2", "model.ghost_size=4"],
        "plain": ["model.name=handmade_cnn", "model.channels=[4, 4]"],
    }
    for name, network in networks.items():
        for seed in (0, 1):
            config = load_config([*overrides, *network, f"seed={seed}"], recipe="none").config
            start_run(config, runs=folder, name=f"{name}{seed}")
    return folder


def test_inspect_writes_the_files_that_it_names_and_the_numbers_are_those_of_evaluate(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["inspect", "ghost0", "--runs", str(runs), "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    named = {Path(line) for line in out.splitlines() if line.endswith((".png", ".json"))}
    assert named == set(tmp_path.iterdir())
    assert {path.stem for path in named} == PICTURES | {"inspect"}
    assert err == ""
    for path in named - {tmp_path / "inspect.json"}:
        with Image.open(path) as picture:
            assert picture.width > 200 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 2
    numbers = json.loads((tmp_path / "inspect.json").read_text())
    assert numbers["accuracy"] == evaluate_trained(runs / "ghost0")["test/accuracy"]
    assert sum(map(sum, numbers["confusion"]["counts"])) == numbers["images"] == 16
    assert [each["name"] for each in numbers["classes"]] == ["bright", "dark"]


def test_other_weights_of_a_run_are_drawn_beside_those_of_its_end(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: each took the place of the other, and the pages of reports showed whichever came last."""
    run = tmp_path / "first"
    shutil.copytree(runs / "ghost0", run)
    (run / "path").mkdir()
    for name in ("best.pt", "path/2.pt"):
        shutil.copy(run / "checkpoint.pt", run / name)
    assert run_here(["inspect", str(run), str(run / "best.pt"), str(run / "path" / "2.pt")]) == 0
    assert {path.name for path in run.glob("inspect*")} == {"inspect", "inspect-best", "inspect-2"}
    assert "first-best: " in capsys.readouterr().out
    assert json.loads((run / "inspect-2" / "inspect.json").read_text())["run"] == "first-2"
    assert run_here(["inspect", str(run), f"{run}/../first"]) == 2
    assert capsys.readouterr().err.strip().endswith("error: inspect: one run is given twice; name each once")


def test_several_networks_are_drawn_side_by_side(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--layers", "features.block2,features.residual1", "--picture", "dark"]
    given = [str(runs / "ghost0"), str(runs / "plain0"), "--out", str(tmp_path)]
    assert run_here(["inspect", *given, *asked]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "ghost0", "plain0", "feature_maps_side_by_side.png", "grad_cam_side_by_side.png",
    }  # fmt: skip
    pictures = [json.loads((tmp_path / name / "inspect.json").read_text())["picture"] for name in ("ghost0", "plain0")]
    assert [each["true"] for each in pictures] == ["dark", "dark"]
    assert [each["maps_of"] for each in pictures] == [["features.block2", "features.residual1"], ["features.block2"]]


@pytest.mark.parametrize(
    ("asked", "names", "index"),
    [
        ("0", ("3", "2", "1", "0"), 0),
        ("3", ("3", "2", "1", "0"), 3),
        (None, ("3", "2", "1", "0"), 0),
        ("class:3", ("3", "2", "1", "0"), 1),
        ("class:cat", ("dog", "cat", "class:cat", "owl"), 5),  # a name as it is comes first
        ("class:owl", ("dog", "cat", "class:cat", "owl"), 0),
        ("cat", ("dog", "cat", "class:cat", "owl"), 3),
        (None, ("dog", "cat", "class:cat", "owl"), 3),
        (None, ("dog", "fox", "owl", "hen", "cat"), 0),  # no test image is of a cat
    ],
)
def test_a_whole_number_is_always_that_of_an_image(
    runs: Path, asked: str | None, names: tuple[str, ...], index: int
) -> None:
    """Before: with classes called by numbers it was the class, also where no picture was asked for."""
    network = load_network(runs / "ghost0", {})
    test = replace(network.image_set.test, labels=torch.tensor([3, 0, 3, 1, 3, 2]))
    named = replace(network, image_set=replace(network.image_set, test=test, class_names=names))
    assert named.find_picture(asked) == index


def test_a_number_beyond_the_test_set_that_is_a_class_says_how_to_ask_for_it(runs: Path) -> None:
    network = load_network(runs / "ghost0", {})
    named = replace(network, image_set=replace(network.image_set, class_names=("1998", "2024")))
    with pytest.raises(
        ConfigError, match=r"^--picture: 2024: the test set has 16 pictures, 0 to 15; its class 2024 is c"
    ):
        named.find_picture("2024")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--layers", "features.blok1"], "--layers: no layer is called 'features.blok1'; did you mean 'features.block"),
        (["--picture", "16"], "--picture: 16: the test set has 16 pictures, 0 to 15"),
        (["--picture", "-1"], "--picture: -1: the test set has 16 pictures, 0 to 15"),
        (["--picture=--5"], "--picture: no class is called '--5'"),
        (["--picture", "drak"], "--picture: no class is called 'drak'; did you mean 'dark'?"),
        (["--picture", "class:drak"], "--picture: no class is called 'drak'; did you mean 'dark'?"),
    ],
)
def test_unknown_layers_and_pictures_are_one_line(
    flags: list[str],
    said: str,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_here(["inspect", str(runs / "ghost0"), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


@pytest.mark.parametrize("command", [["inspect"], ["compare", "ghost0"]])
def test_a_missing_run_is_one_line(command: list[str], runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here([*command, "nothing", "--runs", str(runs)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: nothing")


def test_a_network_of_nan_is_drawn_with_a_note(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(runs / "plain0", broken)
    state = load_checkpoint(broken / "checkpoint.pt")
    state["evaluated"] = {
        key: torch.full_like(value, float("nan")) if value.is_floating_point() else value
        for key, value in state["evaluated"].items()
    }
    save_checkpoint(broken / "checkpoint.pt", state)
    assert run_here(["inspect", str(broken)]) == 0
    _, err = capsys.readouterr()
    assert "note: broken: the logits of 16 of 16 test images are not finite" in err
    numbers = json.loads((broken / "inspect" / "inspect.json").read_text())
    assert numbers["calibration"]["expected_calibration_error"] is None
    assert (broken / "inspect" / "grad_cam.png").exists() and not (broken / "inspect" / "mistakes.png").exists()


def run_on_own_data(folder: Path, channels: int, names: tuple[str, str]) -> Path:
    """Return a run of an epoch on noise of so many channels. Its first test image is always called the second class."""
    text = f"""
import torch

def noise():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, {channels}, 8, 8), dtype=torch.uint8, generator=draw)
    labels = torch.arange(8) % 2
    return (images, labels), (images, 1 - labels), {names!r}
"""
    (folder / "noisy.py").write_text(text)
    words = [f"data.name={folder}/noisy.py:noise", "model.name=handmade_cnn", "model.channels=[4,4]", "train.epochs=1"]
    words += ["train.batch_size=8", "train.device=cpu", "sink.wandb.mode=disabled", "sink.console.mode=off"]
    return start_run(load_config(words).config, runs=folder, name="own").folder


@pytest.mark.parametrize(
    ("channels", "said"),
    [(1, None), (2, "of 2 channels, the first is drawn in grey"),
     (5, "of 5 channels, the first three are drawn as red, green and blue")],
)  # fmt: skip
def test_images_of_any_number_of_channels_are_drawn_and_a_note_says_which(
    channels: int, said: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: a traceback, and no inspect.json."""
    folder = run_on_own_data(tmp_path, channels, ("cat", "dog"))
    assert run_here(["inspect", str(folder)]) == 0
    numbers = json.loads((folder / "inspect" / "inspect.json").read_text())
    assert numbers["notes"] == ([said] if said else [])
    assert {Path(name).stem for name in numbers["files"]} == PICTURES
    assert capsys.readouterr().err == (f"note: own: {said}\n" if said else "")


def test_classes_with_line_breaks_are_drawn_and_printed_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: a traceback, because Pillow does not measure several lines."""
    drawn: list[dict[str, bytes]] = []
    said: list[list[str]] = []
    for number, names in enumerate([("a\ncat", "\r\na  dog"), ("a cat", "a dog")]):
        (tmp_path / str(number)).mkdir()
        folder = run_on_own_data(tmp_path / str(number), 3, names)
        assert run_here(["inspect", str(folder)]) == 0
        said.append([line for line in capsys.readouterr().out.splitlines() if not line.endswith((".png", ".json"))])
        drawn.append({path.stem: path.read_bytes() for path in (folder / "inspect").glob("*.png")})
    assert said[0] == said[1]
    for name in ("mistakes", "feature_maps", "grad_cam"):
        assert drawn[0][name] == drawn[1][name], name


def test_the_numbers_are_kept_if_a_picture_cannot_be_drawn(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: they were written last, and lost with the picture."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("trainer.inspect.inspection.filter_grid", fails)
    with pytest.raises(RuntimeError):
        run_here(["inspect", str(runs / "plain0"), "--out", str(tmp_path)])
    assert json.loads((tmp_path / "inspect.json").read_text())["images"] == 16


@pytest.mark.slow
def test_pictures_and_the_panels_tables_go_to_the_page_of_the_run(
    server: Standin, small_run: list[str], tmp_path: Path
) -> None:
    overrides = [text for text in small_run if not text.startswith("sink.")]
    run = start_run(load_config([*overrides, "sink.wandb.mode=online"]).config, runs=tmp_path, name="mirrored").folder
    trained = dict(server.only_run.summary)
    out = tmp_path / "elsewhere"
    assert run_here(["inspect", str(run), "--wandb", "--out", str(out)]) == 0
    sent = server.only_run  # the one that training began
    assert {key.removeprefix("inspect/") for key in sent.summary if key.startswith("inspect/")} == {
        *(PICTURES - {"mistakes"}), "accuracy", "calibration_error",
    } | ({"mistakes"} & {path.stem for path in out.iterdir()})  # fmt: skip
    assert (out / "filters.png").read_bytes() in sent.files.values()
    assert any(key.startswith("panels/reliability") for key in sent.summary)
    kept = {key: value for key, value in trained.items() if not key.startswith(("_", "panels/"))}
    assert sent.summary.items() >= kept.items()


def test_compare_shows_the_keys_that_differ_and_tests_two_networks(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["compare", str(runs / "ghost0"), str(runs / "ghost1"), "--out", str(tmp_path)]
    assert run_here(typed) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == ["config  ghost0  ghost1", "seed    0       1"]
    assert "McNemar's exact test on 16 test images" in out
    assert {path.name for path in tmp_path.iterdir()} == {"compare.json", "learning_curves.png", "loss_curves.png"}
    found = json.loads((tmp_path / "compare.json").read_text())
    assert sum(found["mcnemar"][key] for key in ("both_right", "only_first", "only_second", "both_wrong")) == 16


def test_networks_of_other_classes_of_the_same_images_are_not_tested(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = comparison.load_network

    def other(path: Path, changes: dict[str, object]) -> InspectedNetwork:
        network = load(path, changes)
        names = tuple(reversed(network.classes)) if path.name == "ghost1" else network.classes
        return replace(network, image_set=replace(network.image_set, class_names=names))

    monkeypatch.setattr(comparison, "load_network", other)
    assert run_here(["compare", str(runs / "ghost0"), str(runs / "ghost1")]) == 0
    said = "McNemar's test: not possible, the two have different classes of the same test images"
    assert said in capsys.readouterr().out


def test_groups_of_seeds_are_compared_by_welch(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, accuracy in {"ghost0": 0.5, "ghost1": 0.5625, "plain0": 0.625, "plain1": 0.6875}.items():
        shutil.copytree(runs / name, tmp_path / name)
        path = tmp_path / name / "summary.json"  # were one of them at 75 %, others would count as at chance
        path.write_text(json.dumps({**json.loads(path.read_text()), "test/accuracy": accuracy}))
    typed = ["compare", "ghost0", "ghost1", "plain0", "plain1", "--runs", str(tmp_path), "--json"]
    assert run_here(typed) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mcnemar"] is None
    assert [len(sample) for sample in found["welch"]["groups"].values()] == [2, 2]
    assert len(found["welch"]["pairs"]) == 1


def test_two_runs_of_one_name_are_told_apart_by_their_paths(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: `ok alone is right on 0, ok alone on 2`."""
    for name, place in {"ghost0": "a/ok", "ghost1": "b/ok", "plain0": "a/plain", "plain1": "b/plain"}.items():
        shutil.copytree(runs / name, tmp_path / place)
    first, second = str(tmp_path / "a" / "ok"), str(tmp_path / "b" / "ok")
    assert run_here(["compare", first, second]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["config", first, second] and f"images: {first} alone is right on" in out
    assert run_here(["compare", first, second, str(tmp_path / "a" / "plain")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["config", first, second, "plain"]


def test_runs_that_do_not_count_are_told_apart_by_their_paths(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, place in {"ghost0": "a/ok", "ghost1": "a/x", "plain0": "a/y", "plain1": "a/z"}.items():
        shutil.copytree(runs / name, tmp_path / place)
        path = tmp_path / place / "summary.json"
        path.write_text(
            json.dumps({**json.loads(path.read_text()), "test/accuracy": 0.6875, "headline/accuracy": 0.6875})
        )
    shutil.copytree(tmp_path / "a" / "ok", tmp_path / "b" / "ok")
    assert run_here(["compare", *(str(path) for path in sorted(tmp_path.glob("*/*")))]) == 0
    said = f"not counted: {tmp_path}/b/ok repeats seed 0 of {tmp_path}/a/ok"
    assert said in capsys.readouterr().out.splitlines()


def test_a_number_in_a_summary_that_is_none_is_null(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: a traceback, because JSON does not have it."""
    for name in ("ghost0", "ghost1"):
        shutil.copytree(runs / name, tmp_path / name)
    path = tmp_path / "ghost1" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "test/loss": float("nan")}))
    assert run_here(["compare", "ghost0", "ghost1", "--runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]["test/loss"][1] is None


def test_without_a_checkpoint_predictions_are_not_compared_and_a_line_says_so(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ghost0", "ghost1"):
        shutil.copytree(runs / name, tmp_path / name)
    (tmp_path / "ghost1" / "checkpoint.pt").unlink()
    assert run_here(["compare", "ghost0", "ghost1", "--runs", str(tmp_path)]) == 0
    assert "McNemar's test: not possible, needs both networks' predictions:" in capsys.readouterr().out


def test_one_run_is_not_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["compare", str(runs / "ghost0")]) == 2
    assert capsys.readouterr().err == "error: compare: needs two or more runs, each once\n"
