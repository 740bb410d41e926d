"""A run that moves: its last checkpoint at W&B, taken up on another machine to the bit."""

import itertools
import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from command_line import run_here
from run_ends import broken_at, differing, rows_of
from standin import Standin

from trainer.config import load_config
from trainer.errors import CheckpointError, ConfigError, SweepError
from trainer.runs.checkpoint import load_checkpoint
from trainer.training.run import resume_run, start_run
from trainer.wandb_api.checkpoint import fetch_checkpoint


@pytest.fixture
def moving(small_run: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A run that sends its checkpoint whenever the one before has arrived."""
    clock = itertools.count(step=10)
    monkeypatch.setattr("trainer.sinks.wandb_checkpoint.time", SimpleNamespace(monotonic=lambda: next(clock)))
    words = [word for word in small_run if not word.startswith("sink.wandb")]
    return [*words, "sink.wandb.checkpoint=every:1", "sink.wandb.project=p", "sink.wandb.init_timeout=60"]


def broken(moving: list[str], runs: Path, step: int = 9, how: Literal["killed", "terminated"] = "terminated") -> None:
    with broken_at(step, how):
        result = start_run(load_config(moving).config, runs=runs, name="broken")
        assert (result.status, result.signal) == ("interrupted", signal.SIGTERM)


def assert_same_end(folder: Path, unbroken: Path) -> None:
    assert rows_of(folder) == rows_of(unbroken)
    assert differing(folder, unbroken, apart_from=("/config/sink",)) == []


def step_of(folder: Path) -> int:
    return load_checkpoint(folder / "checkpoint.pt")["counters"]["step"]


@pytest.mark.parametrize("how", ["killed", "terminated"])
def test_a_broken_run_goes_on_elsewhere_to_the_bit(
    server: Standin, tmp_path: Path, small_run: list[str], moving: list[str], how: Literal["killed", "terminated"]
) -> None:
    start_run(load_config(small_run).config, runs=tmp_path, name="unbroken")
    broken(moving, tmp_path / "here", 15, how)
    id = server.only_run.id
    shutil.rmtree(tmp_path / "here")
    folder = fetch_checkpoint(f"standin/p/{id}", tmp_path / "there")
    assert folder == tmp_path / "there" / "broken"
    if how == "terminated":
        assert step_of(folder) == 15
    assert resume_run(folder).status == "finished"
    assert_same_end(folder, tmp_path / "unbroken")
    assert server.only_run.id == id


def test_an_older_version_goes_when_a_newer_one_has_arrived(server: Standin, tmp_path: Path, moving: list[str]) -> None:
    start_run(load_config([*moving, "train.epochs=20"]).config, runs=tmp_path, name="long")
    kept = [each for each in server.store.artifacts.values() if each["artifactTypeName"] == "checkpoint"]
    assert len(kept) > 2
    assert [each["state"] for each in kept] == ["DELETED"] * (len(kept) - 1) + ["COMMITTED"]


def test_what_is_here_counts_unless_the_server_has_more(server: Standin, tmp_path: Path, moving: list[str]) -> None:
    broken(moving, tmp_path / "here", 4)
    shutil.copytree(tmp_path / "here", tmp_path / "early")
    place = f"standin/p/{server.only_run.id}"
    with broken_at(15):
        resume_run(tmp_path / "here" / "broken")
    assert fetch_checkpoint(place, tmp_path / "early") == tmp_path / "early" / "broken"
    assert step_of(tmp_path / "early" / "broken") == 15
    before = (tmp_path / "here" / "broken" / "checkpoint.pt").stat().st_ino
    fetch_checkpoint(place, tmp_path / "here")
    assert (tmp_path / "here" / "broken" / "checkpoint.pt").stat().st_ino == before
    assert resume_run(tmp_path / "early" / "broken").status == "finished"
    fetch_checkpoint(place, tmp_path / "early")
    assert "already finished" in resume_run(tmp_path / "early" / "broken").message


def test_a_damaged_or_missing_checkpoint_is_one_line_and_leaves_nothing(
    server: Standin, tmp_path: Path, small_run: list[str], moving: list[str]
) -> None:
    broken(moving, tmp_path / "here")
    id = server.only_run.id
    with pytest.raises(SweepError, match=r"standin/p/none has no checkpoint to go on from; a run with sink.wandb"):
        fetch_checkpoint("standin/p/none", tmp_path / "there")
    server.fail("/graphql", 403)
    with pytest.raises(SweepError, match=r"W&B: .*403") as refused:
        fetch_checkpoint(f"standin/p/{id}", tmp_path / "there")
    assert "has no checkpoint" not in str(refused.value)
    server.heal()
    start_run(load_config(small_run).config, runs=tmp_path / "other", name="broken")
    with pytest.raises(CheckpointError, match=f"is not W&B's run {id} but one that W&B does not have"):
        resume_elsewhere(tmp_path / "other", id)
    for artifact in server.store.artifacts.values():
        if artifact["artifactTypeName"] == "checkpoint" and artifact["files"]:
            artifact["files"]["checkpoint.pt"] = b"torn"
    with pytest.raises(SweepError) as caught:
        fetch_checkpoint(f"standin/p/{id}", tmp_path / "there")
    assert len(caught.value.problems) == 1
    assert list((tmp_path / "there").iterdir()) == []


def test_another_finished_run_of_that_name_is_not_the_answer(
    server: Standin, tmp_path: Path, small_run: list[str], moving: list[str]
) -> None:
    """Before: it was taken for the run that had been asked for, which seemed to have finished."""
    broken(moving, tmp_path / "here")
    id = server.only_run.id
    start_run(load_config([*small_run, "seed=7"]).config, runs=tmp_path / "other", name="broken")
    with pytest.raises(CheckpointError, match=f"is not W&B's run {id} but one that W&B does not have"):
        fetch_checkpoint(f"standin/p/{id}", tmp_path / "other")


@pytest.mark.parametrize("name", ["../victim", "/victim", ".", "..", "a/b"])
def test_a_folder_outside_of_runs_is_refused_though_it_is_there(
    server: Standin, tmp_path: Path, moving: list[str], name: str
) -> None:
    """Before: a folder beside `runs` got the files of the run."""
    broken(moving, tmp_path / "here")
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "there").mkdir()
    for artifact in server.store.artifacts.values():
        if artifact["artifactTypeName"] == "checkpoint":
            artifact["metadata"] = json.dumps({"folder": name})
    with pytest.raises(ConfigError, match="use only letters"):
        fetch_checkpoint(f"standin/p/{server.only_run.id}", tmp_path / "there")
    assert [*victim.iterdir(), *(tmp_path / "there").iterdir()] == []


def resume_elsewhere(runs: Path, id: str) -> None:
    """Fetch into a folder that another run has, which has not finished."""
    (runs / "broken" / "summary.json").unlink()
    fetch_checkpoint(f"standin/p/{id}", runs)


def test_a_file_outside_the_run_folder_is_refused(server: Standin, tmp_path: Path, moving: list[str]) -> None:
    broken(moving, tmp_path / "here")
    for artifact in server.store.artifacts.values():
        if manifest := artifact["files"].get("wandb_manifest.json"):
            artifact["files"]["wandb_manifest.json"] = manifest.replace(b'"run.json"', b'"../../run.json"')
    with pytest.raises(CheckpointError, match=r"'../../run.json' is outside a run folder"):
        fetch_checkpoint(f"standin/p/{server.only_run.id}", tmp_path / "there")


def test_a_place_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_here(["train", "--resume", "wandb:project/run", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: --resume: wandb:project/run: expected wandb:ENTITY/PROJECT/RUN\n"
