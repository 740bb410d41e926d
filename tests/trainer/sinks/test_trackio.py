"""trackio's database, read back by trackio's own reader."""

import math
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trackio
import trackio.media.media
import trackio.media.utils
import trackio.sqlite_storage
import trackio.utils
from PIL import Image
from run_ends import broken_at, rows_of

from trainer.config import load_config
from trainer.config.sink import TrackioSink as Config
from trainer.files import finite_or_none
from trainer.protocols import Record, RunInfo
from trainer.sinks.trackio import TrackioSink
from trainer.training.run import resume_run, start_run

ON = ["sink.trackio.mode=local", "sink.trackio.project=ablations", "sink.trackio.group=lr", "train.log_every=4"]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """trackio's folder, of which it reads the name when it is imported."""
    folder = tmp_path / "trackio"
    for module in (trackio, trackio.utils, trackio.sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", folder)
    for module in (trackio.utils, trackio.media.media, trackio.media.utils):
        monkeypatch.setattr(module, "MEDIA_DIR", folder / "media", raising=False)
    yield folder
    trackio.sqlite_storage._close_all_persistent_connections()


def rows_in_trackio(name: str) -> list[dict[str, Any]]:
    """Return the rows of the only run of a name, without times and without how it ended."""
    (run,) = (run for run in trackio.Api().runs("ablations") if run.name == name)
    rows = trackio.sqlite_storage.SQLiteStorage.get_logs("ablations", name, run_id=run.id)
    kept = [row for row in rows if "status" not in row]
    return [finite_or_none({k: v for k, v in row.items() if not k.startswith("time")}) for row in kept]


def test_trackio_has_every_row_of_the_run_and_its_config(tmp_path: Path, small_run: list[str]) -> None:
    result = start_run(load_config([*small_run, *ON]).config, runs=tmp_path, name="a")
    assert rows_in_trackio("a") == rows_of(result.folder)
    (run,) = trackio.Api().runs("ablations")
    config = run.config
    assert config is not None
    assert (config["model.name"], config["optimizer.lr"], config["_Group"]) == ("fastresnet9", 0.002, "lr")
    last = trackio.sqlite_storage.SQLiteStorage.get_logs("ablations", "a")[-1]
    assert (last["status"], last["headline/accuracy"]) == ("finished", result.summary["headline/accuracy"])


@pytest.mark.parametrize(("how", "step"), [("killed", 9), ("terminated", 9), ("killed", 2)])
def test_a_broken_run_goes_on_as_the_same_run_with_no_step_twice(
    tmp_path: Path, small_run: list[str], how: Any, step: int
) -> None:
    overrides = [*small_run, *ON, "probe.drift.every=1"]
    start_run(load_config(overrides).config, runs=tmp_path / "other", name="a")  # one of the same name elsewhere
    trackio.sqlite_storage.SQLiteStorage.rename_run("ablations", "a", "unbroken")
    with broken_at(step, how):
        start_run(load_config(overrides).config, runs=tmp_path, name="a")
    (before,) = (run.id for run in trackio.Api().runs("ablations") if run.name == "a")
    assert resume_run(tmp_path / "a").status == "finished"
    assert [run.id for run in trackio.Api().runs("ablations") if run.name == "a"] == [before]
    assert rows_in_trackio("a") == rows_of(tmp_path / "a") == rows_in_trackio("unbroken")


def test_a_resume_leaves_another_run_of_the_same_name_alone(run: RunInfo) -> None:
    other, ours = TrackioSink(Config(mode="local")), TrackioSink(Config(mode="local"))
    for it in (ours, other):
        it.start(run)
        it.log(Record(1, 10, {"test/accuracy": 0.5}))
        it.finish("interrupted", {})
    assert ours.memory() != other.memory()
    (run.folder / "config.yaml").write_text("seed: 3\n")
    (run.folder / "metrics.jsonl").write_text('{"epoch": 1, "step": 10, "test/accuracy": 0.5}\n')
    again = TrackioSink(Config(mode="local"))
    again.start(RunInfo(run.name, run.folder, run.config, "0", {}, resumed=True, memory=ours.memory()))
    again.log(Record(2, 20, {"test/accuracy": 0.75}))
    again.finish("finished", {})
    read = trackio.sqlite_storage.SQLiteStorage.get_logs
    counts = {id: [row["step"] for row in read("cifar-sweeps", run.name, run_id=id) if "status" not in row]
              for id in (ours.memory()["id"], other.memory()["id"])}  # fmt: skip
    assert [*counts.values()] == [[10, 20], [10]]


def test_nothing_is_asked_of_a_server_even_with_a_token_and_a_space(
    run: RunInfo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def refuse(*address: Any, **_: Any) -> Any:
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_TOKEN", "hf_xxxxxxxxxxxxxxxx")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "ann/space")
    it = TrackioSink(Config(mode="local"))
    it.start(run)
    it.log(Record(1, 10, {"test/accuracy": 0.5}))
    it.finish("finished", {"headline/accuracy": 0.5})
    assert asked == []
    assert capfd.readouterr() == ("", "")
    assert [row["step"] for row in trackio.sqlite_storage.SQLiteStorage.get_logs("cifar-sweeps", "first")] == [10, 10]


def test_pictures_and_numbers_that_are_not_finite_are_taken(run: RunInfo, database: Path) -> None:
    picture = run.folder / "errors.png"
    Image.new("RGB", (8, 4), "red").save(picture)
    it = TrackioSink(Config(mode="local"))
    it.start(run)
    it.log(Record(1, 10, {"train/loss": float("nan")}, {"errors": picture}))
    it.finish("diverged", {})
    row = trackio.sqlite_storage.SQLiteStorage.get_logs("cifar-sweeps", "first")[0]
    assert math.isnan(row["train/loss"])
    with Image.open(database / "media" / row["errors"]["file_path"]) as kept:
        assert kept.size == (8, 4)


def test_rows_that_cannot_be_read_back_are_one_line_and_the_run_goes_on(
    run: RunInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    it = TrackioSink(Config(mode="local"))
    it.start(replace(run, resumed=True))  # its folder has no config.yaml
    it.log(Record(1, 10, {"train/loss": 1.0}))
    it.finish("finished", {})
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("trackio: the rows from before are not written: ")
    rows = trackio.sqlite_storage.SQLiteStorage.get_logs("cifar-sweeps", "first")
    assert [row["train/loss"] for row in rows if "status" not in row] == [1.0]


def test_a_database_that_cannot_be_written_is_told_and_the_run_goes_on(
    run: RunInfo, database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database.write_text("in the way")
    it = TrackioSink(Config(mode="local"))
    it.start(run)
    it.log(Record(1, 10, {"train/loss": 1.0}))
    it.log(Record(2, 20, {"train/loss": 1.0}))
    it.finish("finished", {})
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("failed to flush") == 1
    assert all(line.startswith("trackio: ") for line in err.splitlines())
