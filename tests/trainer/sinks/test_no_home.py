"""W&B where the user's home cannot be written, as in a container with another user."""

import os
import subprocess
import sys
from pathlib import Path

TRAINER = [sys.executable, "-m", "trainer.cli"]
ROOT = Path(__file__).parents[3]


def test_without_a_home_wandb_records_everything_and_prints_no_log(tmp_path: Path, small_run: list[str]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "XDG_"))}
    env |= {"HOME": "/proc/nowhere", "PYTHONPATH": str(ROOT)}
    words = [*small_run, "train.epochs=1", "sink.wandb.mode=offline", "--runs", str(tmp_path), "--name", "a"]
    ended = subprocess.run([*TRAINER, "train", *words], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ended.returncode == 0
    *told, _measure, send = ended.stderr.splitlines()
    assert send.startswith("send it to W&B: ")
    assert not [line for line in told if "wandb" in line or "INFO" in line]
    assert list((tmp_path / "a" / "wandb").glob("offline-run-*/*.wandb"))
    assert any((tmp_path / "a" / "wandb" / "data_dir" / "artifacts" / "staging").iterdir())
