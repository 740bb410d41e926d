"""README's commands, run as a reader would, in order, on less data and for fewer steps."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from trainer.cli.main import main

ROOT = Path(__file__).parents[1]
LESS = ["--data", "shapes10", "data.train_size=100", "model.width=2", "train.max_steps=2", "train.batch_size=50"]
QUIET = ["sink.wandb.mode=disabled"]


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_readme_s_commands_work_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").symlink_to(ROOT / "sweeps")
    ran = 0
    for line in commands():
        program, *words = shlex.split(line)
        if program != "trainer":
            continue
        if words[0] == "train" and not {"--resume", "--dry-run"} & set(words):
            less = [word for word in LESS if "resnet18" not in words or not word.startswith("model.width")]
            words += less + QUIET
        if words[:2] == ["sweep", "run"]:
            words += ["data.train_size=64", "train.max_steps=1", *QUIET]
        monkeypatch.setattr(sys, "argv", ["trainer", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, line
        ran += 1
    assert ran >= 8
    assert (tmp_path / "runs" / "first" / "summary.json").is_file()


def test_every_make_target_of_the_readme_exists() -> None:
    named = {shlex.split(line)[1] for line in commands() if line.startswith("make ")}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"
