"""What own parts print and draw as they are read, and as they run."""

import json
from pathlib import Path

import pytest
from command_line import run_here
from own_parts import NET, TINY

from trainer.runs.history import read_history


def test_what_a_file_prints_is_kept_off_stdout_and_draws_change_no_weight(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nets.py").write_text(NET)
    assert run_here(["train", *TINY, "model.name=nets.py:Net", "--name", "a"]) == 0
    capsys.readouterr()
    draws = "torch.rand(9); numpy.random.rand(); random.random(); numpy.random.seed(3); random.seed(3)"
    (here / "nets.py").write_text(f"import random, numpy, torch\nprint('hello')\n{draws}\n{NET}")
    assert run_here(["train", *TINY, "model.name=nets.py:Net", "--name", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"
    one, other = (read_history(Path("runs") / name).rows[-1] for name in "ab")
    assert one["train/loss"] == other["train/loss"]


def test_what_a_forward_prints_is_kept_off_the_stdout_of_every_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nets.py").write_text(NET.replace("images):\n", "images):\n        print('hello')\n"))
    for words in (
        ["train", *TINY, "model.name=nets.py:Net", "--name", "a", "--json"],
        ["train", *TINY, "model.name=nets.py:Net", "--dry-run", "--json"],
        ["models", "nets.py:Net", "--json"],
        ["evaluate", "a", "--json"],
        ["export", "a", "--to", "safetensors", "--json"],
        ["landscape", "surface", "a", "--dims", "1", "--points", "3", "--json"],
    ):
        assert run_here(words) == 0, words
        out, err = capsys.readouterr()
        assert json.loads(out) and "hello" in err, words
    for words in (
        ["inspect", "a", "--images", "2"],
        ["train", *TINY, "model.name=nets.py:Net", "--name", "b", "seed=1"],
        ["inspect", "a", "b", "--images", "2"],
        ["compare", "a", "b", "--json"],
    ):
        assert run_here(words) == 0, words
        assert "hello" not in capsys.readouterr().out, words
