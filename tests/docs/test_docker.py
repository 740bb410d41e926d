"""docs/docker/Dockerfile: hadolint has no complaint, what it copies is there, and its commands are ours.

No image is built: that needs a Docker daemon and gigabytes.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_here

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "docker" / "Dockerfile"
TEXT = FILE.read_text(encoding="utf-8")


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("hadolint")
    return subprocess.run([linter, "-"], input=text, capture_output=True, text=True, timeout=60, check=False)


def test_the_linter_has_no_complaint_and_would_have_one() -> None:
    said = hadolint(TEXT)
    assert said.returncode == 0, said.stdout
    assert "DL3006" in hadolint(TEXT.replace("python:3.12-slim\n", "python\n")).stdout
    assert hadolint(TEXT.replace("WORKDIR", "WORKDIRECTORY")).returncode == 1


def test_what_is_copied_is_there_and_not_left_out() -> None:
    copied = [words.split() for words in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)]
    sources = [source for *sources, _ in copied for source in sources]
    assert all((ROOT / source).exists() for source in sources)
    kept = FILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {word.removeprefix("!") for word in kept if word.startswith("!")} == set(sources)
    assert (ROOT / "trainer" / "catalogue").resolve() == ROOT / "sweeps"  # a link, which needs `sweeps` beside it


def test_its_command_trains(capsys: pytest.CaptureFixture[str]) -> None:
    entry, command = (json.loads(words) for words in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", TEXT, re.MULTILINE))
    assert entry == ["trainer"] and run_here([*command, "--dry-run"]) == 0
    assert "name: shapes10" in capsys.readouterr().out  # so that it needs no network


def test_its_first_comment_builds_it() -> None:
    assert re.findall(r"docker build -f (\S+) -t cifar-sweeps \.\n", TEXT) == [str(FILE.relative_to(ROOT))]
