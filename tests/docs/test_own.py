"""The examples of docs/own.md, from an empty folder, as a reader would run them, but on less data."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from command_line import run_here
from own_page import PAGE, commands, save_files

from trainer.data import shapes10

LESS = ["data.train_size=60", "train.max_steps=2", "train.batch_size=30", "sink.wandb.mode=disabled"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, but for the files that the page says to save."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shapes10, "draw_shapes10", cache(shapes10.draw_shapes10))
    assert save_files(tmp_path) == {
        "my_nets.py", "mine.yaml", "my_loss.py", "my_optimizer.py", "my_augment.py", "my_probe.py", "my_data.py"
    }  # fmt: skip
    return tmp_path


def test_the_commands_of_the_page_work_in_order(here: Path) -> None:
    for words in commands("train"):
        assert run_here(words if "--resume" in words else [*words, *LESS]) == 0, words
    for words in [*commands("evaluate"), *commands("models"), *commands("preview"), *commands("sweep", "check")]:
        assert run_here(words) == 0, words
    run = here / "runs" / "mynet"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["width"] == 8 and config["model"]["act"] == "relu" and len(config["model"]["code"]) == 12
    assert (run / "own" / "my_nets.py").read_text() == (here / "my_nets.py").read_text()
    rows = [json.loads(line) for path in here.glob("runs/*/metrics.jsonl") for line in path.read_text().splitlines()]
    assert any(key.startswith("extra/") for row in rows for key in row)


def test_no_run_of_the_page_has_the_name_of_its_sweep() -> None:
    """Before: both were `mine`, and the report of the sweep was that of the run."""
    names = {words[words.index("--name") + 1] for words in commands("train") if "--name" in words}
    assert names and "mine" not in names


def test_the_mistakes_that_the_page_shows_are_what_is_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["train", "model.name=my_nets.py:MyNet", "model.widht=8", "model.act=tanh"]) == 2
    said = capsys.readouterr().err
    (shown,) = re.findall(r"```\n(error: .*?)```", PAGE, re.DOTALL)
    assert sorted(said.splitlines()) == sorted(shown.splitlines())


@pytest.mark.slow
def test_the_sweep_of_the_page_trains_and_is_reported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["sweep", "run", "mine.yaml", *LESS]) == 0
    assert (here / "runs" / "mine" / "own" / "my_nets.py").is_file()
    capsys.readouterr()
    assert run_here(["report", "mine.yaml"]) == 0
    page = (here / "runs" / "mine" / "report" / "mine.md").read_text(encoding="utf-8")
    assert "my_nets.py:MyNet" in page and "code=" not in page
