"""The sweeps that come with the trainer: by name, as a copy, and in a wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command_line import run_here

from trainer.sweep import catalogue
from trainer.sweep.file import read_sweep

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_file_has_its_question_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["sweep", "list", "--catalogue"]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = sorted((ROOT / "sweeps").glob("*.yaml"))
    assert [line.split()[0] for line in lines] == [file.stem for file in files]
    assert all(line.endswith(read_sweep(file).header.question) for line, file in zip(lines, files, strict=True))


def test_where_no_sweep_was_begun_the_list_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Before, it printed nothing."""
    assert run_here(["sweep", "list"]) == 0
    out, err = capsys.readouterr()
    assert not out
    assert err == "runs: no sweep is in it; `trainer sweep list --catalogue` lists those to begin with\n"


def test_a_name_is_as_good_as_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["sweep", "check", "lr_scheduler", str(ROOT / "sweeps/lr_scheduler.yaml")]) == 0
    named, typed = capsys.readouterr().out.splitlines()
    assert named.rpartition(": ")[2] == typed.rpartition(": ")[2]
    Path("lr_scheduler").mkdir()  # of its runs
    assert catalogue.sweep_file("lr_scheduler") == catalogue.FOLDER / "lr_scheduler.yaml"
    Path("loss").touch()
    assert catalogue.sweep_file("loss") == Path("loss"), "a file that is here comes first"


@pytest.mark.parametrize("command", ["check", "run", "status", "plan"])
def test_another_name_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["sweep", command, "lr_schedulerr"]) == 2
    said = "lr_schedulerr: no such file, and no sweep of the catalogue has this name; did you mean 'lr_scheduler'?"
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_copy_is_the_file_and_replaces_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["sweep", "copy", "smoke"]) == 0
    Path("mine").mkdir()
    assert run_here(["sweep", "copy", "smoke", "mine"]) == 0
    assert capsys.readouterr().out == "smoke.yaml\nmine/smoke.yaml\n"
    copies = [Path("smoke.yaml"), Path("mine/smoke.yaml")]
    assert all(path.read_bytes() == (ROOT / "sweeps/smoke.yaml").read_bytes() for path in copies)
    copies[0].write_text("changed")
    assert run_here(["sweep", "copy", "smoke"]) == 2
    assert run_here(["sweep", "copy", "smok", "x.yaml"]) == 2
    assert capsys.readouterr().err == (
        "error: smoke.yaml: exists; give another name: trainer sweep copy smoke FILE\n"
        "error: smok: no sweep of the catalogue has this name; did you mean 'smoke'?\n"
    )
    assert run_here(["sweep", "copy", "xyz"]) == 2
    assert capsys.readouterr().err == (
        "error: xyz: no sweep of the catalogue has this name; `trainer sweep list --catalogue` lists them\n"
    )
    assert copies[0].read_text() == "changed" and not Path("x.yaml").exists()


def test_a_wheel_is_below_a_megabyte_and_knows_the_catalogue_without_a_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 1e6
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path / "installed")
    command = [sys.executable, "-m", "trainer.cli", "sweep", "check", "lr_scheduler"]
    env = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    said = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    path, _, points = said.rpartition(": ")
    assert Path(path) == tmp_path / "installed/trainer/catalogue/lr_scheduler.yaml" and points.endswith("points\n")
