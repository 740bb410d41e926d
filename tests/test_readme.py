"""Commands and snippets of the README and the tutorial, run in order as a reader would, but on less data."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest
from pretend import server

from trainer.cli.main import main
from trainer.data.shapes10 import draw_shapes10

ROOT = Path(__file__).parents[1]
LESS = ["--data", "shapes10", "data.train_size=100", "model.width=2", "train.max_steps=2", "train.batch_size=50"]
QUIET = ["sink.wandb.mode=disabled"]
PAGES = {"README.md": "fast9", "docs/tutorial.md": "first"}
"""Pages, each with a run that its commands make. Two pages must not use one name, since a reader goes through both."""


_LESS = '"train.max_steps": 1, "data.train_size": 64, "sink.wandb.mode": "disabled"'


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def commands(page: str) -> list[str]:
    return [line for block in blocks(page, "bash") for line in block.replace("\\\n", "").splitlines()]


def shrunk(words: list[str]) -> list[str]:
    """Return the words of a command, with overrides that make it short."""
    if words[0] == "train" and not {"--resume", "--dry-run"} & set(words):
        has_width = not {"resnet18", "lenet5"} & set(words)
        return words + [word for word in LESS if has_width or not word.startswith("model.width")] + QUIET
    if words[0] == "lr-find":
        return [*words, "--model", "lenet5", "--steps", "20", "data.train_size=64", "train.batch_size=4"]
    if words[:2] == ["sweep", "run"]:
        return [*words, "data.train_size=64", "train.max_steps=1", *QUIET]
    return words


@pytest.fixture
def few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw 300 images of shapes10, here and in the children of a sweep."""
    server.ready()
    monkeypatch.setattr("trainer.data.shapes10.draw_shapes10", partial(draw_shapes10, 200, 100))


@pytest.mark.usefixtures("few_shapes")
@pytest.mark.parametrize(("page", "run"), PAGES.items())
def test_the_commands_of_a_page_work_in_order(
    page: str, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").symlink_to(ROOT / "sweeps")
    for text in blocks(page, "yaml"):
        one_seed = text.replace("seed: {values: [0, 1, 2]}", "seed: {value: 0}")
        (tmp_path / "rates.yaml").write_text(one_seed, encoding="utf-8")
    ran = 0
    for line in commands(page):
        program, *words = shlex.split(line, comments=True)
        if program != "trainer":
            continue
        monkeypatch.setattr(sys, "argv", ["trainer", *shrunk(words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, line
        ran += 1
    assert ran >= 8
    assert (tmp_path / "runs" / run / "summary.json").is_file()


def test_no_two_pages_name_a_run_alike() -> None:
    """Before: five pages had `--name first`, and the second that one read was refused."""
    named = [
        (name, page)
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for name in set(re.findall(r"--name ([\w.-]+)", page.read_text(encoding="utf-8")))
    ]
    twice = {name for name, _ in named if [each for each, _ in named].count(name) > 1}
    assert not twice, [(name, page.name) for name, page in named if name in twice]


@pytest.mark.usefixtures("few_shapes")
def test_the_python_of_the_readme_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("README.md", "python")
    short = code.replace('"train.epochs": 1', _LESS)
    assert short != code
    exec(compile(short, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("finished 0.")


@pytest.mark.slow
def test_the_python_of_its_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("docs/python.md", "python")
    short = code.replace('"train.epochs": 1', _LESS).replace('run_sweep("smoke")', f'run_sweep("smoke", {{{_LESS}}})')
    assert short.count("disabled") == 2
    exec(compile(short, "python.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("finished 0.") and said[1].endswith(" (10, 10)") and said[2] == "62006 2000"
    assert "index.html" in said[-1] and "'learning_curves'" in said[-1]


def test_the_sweep_file_of_the_readme_has_twelve_lines() -> None:
    (text,) = blocks("README.md", "yaml")
    assert len(text.splitlines()) == 12


@pytest.mark.parametrize("page", [*PAGES, "docs/contributing.md"])
def test_every_make_target_of_a_page_exists(page: str) -> None:
    named = set(re.findall(r"(?:^ *|`)make ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets
