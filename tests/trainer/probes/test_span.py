"""The steps over which the probes of a run are spread."""

from pathlib import Path

from trainer.config import load_config
from trainer.runs.history import read_history
from trainer.training.run import start_run


def test_log_spaced_steps_end_where_max_steps_ends_the_run(tmp_path: Path, small_run: list[str]) -> None:
    overrides = [*small_run, "train.max_steps=8", "probe.drift.log_spaced=3"]
    result = start_run(load_config(overrides).config, runs=tmp_path)
    assert [row["step"] for row in read_history(result.folder).having("runs/loss")] == [0, 2, 7]
