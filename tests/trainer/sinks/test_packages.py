"""A sink whose package is missing is refused before anything starts."""

from pathlib import Path

import pytest
from command_line import run_here

from trainer.config.sink import Sink
from trainer.errors import ConfigError
from trainer.sinks import packages
from trainer.sinks.packages import refuse_missing


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    refuse_missing(Sink())
    with pytest.raises(ConfigError) as caught:
        refuse_missing(Sink.model_validate({"trackio": {"mode": "local"}, "tensorboard": {"mode": "local"}}))
    assert caught.value.problems == (
        "sink.trackio.mode: trackio is not installed: pip install 'cifar-sweeps[trackio]'",
        "sink.tensorboard.mode: tensorboard is not installed: pip install 'cifar-sweeps[tensorboard]'",
    )


def test_the_command_ends_with_2_before_there_is_a_folder(
    small_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert run_here(["train", *small_run, "sink.trackio.mode=local", "--runs", str(tmp_path / "runs")]) == 2
    said = "error: sink.trackio.mode: trackio is not installed: pip install 'cifar-sweeps[trackio]'\n"
    assert capfd.readouterr().err == said
    assert not (tmp_path / "runs").exists()


def test_a_sweep_is_refused_once_and_not_at_each_of_its_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    words = ["sweep", "run", "smoke", "sink.trackio.mode=local", "--runs", str(tmp_path / "runs")]
    assert run_here(words) == 2
    said = [line for line in capfd.readouterr().err.splitlines() if "trackio" in line]
    assert said == ["error: sink.trackio.mode: trackio is not installed: pip install 'cifar-sweeps[trackio]'"]
    assert not (tmp_path / "runs").exists()
