"""What a person reads while the first start takes long, and what is done for a shorter one."""

import gc
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.cli import slow_start
from trainer.cli.slow_start import slow_start_told, uncollected

ROOT = Path(__file__).parents[3]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that takes half a second to import."""
    (tmp_path / "slow_package.py").write_text("import time; time.sleep(0.5)")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_package"
    sys.modules.pop("slow_package", None)


@pytest.mark.parametrize(("after", "told"), [(0.1, 1), (30, 0)])
def test_a_line_is_printed_only_while_an_import_takes_long(
    package: str, after: float, told: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow_start, "PATIENCE_SECONDS", after)
    with slow_start_told(package):
        importlib.import_module(package)
    assert capsys.readouterr().err.count("loading PyTorch") == told


def test_nothing_is_printed_for_a_package_that_is_there(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow_start, "PATIENCE_SECONDS", 0)
    importlib.import_module(package)
    with slow_start_told(package):
        pass
    assert not capsys.readouterr().err


def test_the_first_start_says_that_it_loads_pytorch(tmp_path: Path) -> None:
    """Also on a lost console, where nobody reads it."""
    (tmp_path / "torch.py").write_text("import time; time.sleep(7); raise SystemExit(0)")
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "trainer.cli", "train", "--dry-run"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True)
    assert ended.stderr == "starting: loading PyTorch, which can take a minute the first time\n"


def test_make_install_with_pip_alone_says_how_long_it_takes(tmp_path: Path) -> None:
    words = ["make", "--dry-run", "--always-make", "install", "UV=", f"VENV={tmp_path}"]
    lines = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    said = next(number for number, line in enumerate(lines) if line.startswith("echo") and "minutes" in line)
    assert said < next(number for number, line in enumerate(lines) if "pip install" in line)


def test_garbage_is_collected_again_after_an_import(package: str) -> None:
    with uncollected(package):
        assert not gc.isenabled()
        importlib.import_module(package)
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    assert frozen, "what was imported stays, so it is never looked through"
    with uncollected(package):
        assert gc.isenabled(), "there is nothing to import"
    assert gc.get_freeze_count() == frozen
