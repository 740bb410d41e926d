"""The workflow of docs/sweeps.md that asks for a verdict."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from command_line import run_here

ROOT = Path(__file__).parents[2]


def test_its_command_is_of_an_archive_that_is_here_and_what_it_expects_is_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(on: push\n.*?)```", page, re.DOTALL)
    (job,) = yaml.safe_load(text)["jobs"].values()
    trainer, *words = shlex.split(job["steps"][-1]["run"])
    assert trainer == "trainer"
    words[words.index("--out") + 1] = str(tmp_path)
    monkeypatch.chdir(ROOT)
    assert run_here(words) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("as expected: cross_entropy > mse (")
