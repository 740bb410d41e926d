"""File names that are not UTF-8, or not of the locale: every command takes them, or refuses them in one line."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from command_line import run_here
from PIL import Image
from pretend import server
from pretend.train import main as pretended

from trainer.cli.main import main
from trainer.sweep import local
from trainer.sweep.engine import Engine

ROOT = Path(__file__).parents[3]
CLASSES = (b"\xff\xfe", "chat-\u00e9".encode())
SIZE = ["data.image_size=8", "model.width=2", "model.ghost_size=4", "train.batch_size=4", "train.device=cpu"]
QUIET = ["augment.crop.padding=1", "sink.wandb.mode=disabled", "probe.path.every_epochs=1", "train.epochs=2"]
COMMANDS = [
    ["train", "--data", "folder", "--model", "fastresnet9", "data.root={data}", *SIZE, *QUIET, "--runs", "{runs}",
     "--name", "a"],
    ["train", "--resume", "{run}"],
    ["evaluate", "{run}"],
    ["inspect", "{run}"],
    ["preview", "data", "--data", "folder", "data.root={data}", "data.image_size=8", "--out", "{runs}/p.png"],
    ["preview", "panel", "confusion_matrix", "{run}", "--out", "{runs}/p.html"],
    ["landscape", "surface", "{run}", "--points", "3", "--dims", "1"],
    ["report", "{runs}", "--out", "{runs}/report"],
    ["report", "index", "--runs", "{runs}"],
]  # fmt: skip


def typed(command: Sequence[str], data: Path, runs: Path) -> list[str]:
    return [word.format(data=data, runs=runs, run=runs / "a") for word in command]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of four images, in folders whose names are hard to write."""
    root = tmp_path / os.fsdecode("d-\u00e9-".encode() + b"\xff")
    for split in ("train", "test"):
        for shade, name in enumerate(CLASSES):
            folder = root / split / os.fsdecode(name)
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (8, 8), (100 * shade + i, 0, 0)).save(folder / f"{i}.png")
    return root


def test_every_command_takes_names_that_are_not_utf8(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / os.fsdecode("r-\u00e9-".encode() + b"\xfe")
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["trainer", *typed(command, data, runs)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, command


@pytest.mark.slow
def test_every_command_takes_them_in_a_locale_without_utf8(data: Path, tmp_path: Path) -> None:
    runs = tmp_path / os.fsdecode("r-\u00e9".encode())
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    for command in COMMANDS:
        words = [sys.executable, "-m", "trainer.cli", *typed(command, data, runs)]
        ended = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True)
        assert ended.returncode == 0, (command, ended.stderr[-2000:])


def test_a_sweep_file_whose_name_is_no_text_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / os.fsdecode(b"s-\xff.yaml")
    path.write_text("method: grid\nparameters: {seed: {values: [0, 1]}}\n")
    for command in ("check", "run", "status"):
        monkeypatch.setattr(sys, "argv", ["trainer", "sweep", command, str(path)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("s-\\xff.yaml: this locale cannot read the name; rename it, or set LC_ALL=C.UTF-8")


@pytest.mark.parametrize("name", ["what?", "a%25b", "{0}", "a#b", "chat-\u00e9", "a?timeout=x&uri=true"])
def test_a_sweep_takes_a_name_that_is_another_one_in_an_address(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: its ledger was another file, such as that of `what`, and every command began the sweep again."""
    server.ready()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "Engine", partial(Engine, target=pretended))
    monkeypatch.setenv("PRETEND_SECONDS", "0")
    file = Path(name.partition("=")[0]).with_suffix(".yaml")
    file.write_text("method: grid\nparameters: {seed: {values: [0]}}\n")
    runs = f"r-{name}"
    assert run_here(["sweep", "run", str(file), "--runs", runs]) == 0
    assert (tmp_path / runs / file.stem / "ledger.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [runs]
    capsys.readouterr()
    assert run_here(["sweep", "list", "--runs", runs]) == 0
    assert capsys.readouterr().out == f"{runs}/{file.stem}  1 of 1 points are done\n"


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--model", "lenet5", "--name", LONG],
        ["train", "--model", "lenet5", "--runs", LONG],
        ["train", "--model", "lenet5", "--config", LONG],
        ["train", "--model", f"{LONG}.py:Net"],
        ["train", "--resume", LONG],
        ["evaluate", LONG],
        ["inspect", LONG],
        ["compare", LONG, "b"],
        ["landscape", "surface", LONG],
        ["landscape", "bands", LONG],
        ["report", LONG],
        ["report", "pack", LONG, "--to", "a.jsonl.gz"],
        ["export", ".", "--to", "safetensors", "--out", LONG],
        ["sweep", "check", LONG],
        ["sweep", "status", LONG],
        ["sweep", "run", f"{LONG}.yaml"],
        ["preview", "panel", "loss_curves", LONG],
    ],
    ids=lambda words: " ".join(word for word in words[:2] if word != LONG),
)
def test_a_name_that_no_file_can_have_is_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "checkpoint.pt").touch()
    assert run_here(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and LONG in line
