"""TensorBoard's log, read back by TensorBoard's own reader."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_ends import broken_at, rows_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from trainer.config import load_config
from trainer.config.sink import TensorboardSink as Config
from trainer.protocols import Record, RunInfo
from trainer.sinks.tensorboard import FOLDER, TensorboardSink
from trainer.training.run import resume_run, start_run

ON = ["sink.tensorboard.mode=local", "train.log_every=4"]


def read(folder: Path) -> EventAccumulator:
    log = EventAccumulator(str(folder / FOLDER), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    log.Reload()
    return log


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the steps and values of each scalar except times."""
    log = read(folder)
    tags = [tag for tag in log.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(each.step, each.value) for each in log.Scalars(tag)] for tag in tags}


def rows_as_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return metrics.jsonl in the same form. TensorBoard keeps 32 bits of a number."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows_of(folder):
        for key, value in row.items():
            if key != "step":
                found.setdefault(key, []).append((row["step"], float(np.float32(value))))
    return found


def without_headline(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "headline/accuracy"}


def test_the_log_has_every_number_of_the_run_its_config_and_how_it_ended(tmp_path: Path, small_run: list[str]) -> None:
    result = start_run(load_config([*small_run, *ON]).config, runs=tmp_path, name="a")
    found = curves(result.folder)
    assert without_headline(found) == rows_as_curves(result.folder)
    assert found["headline/accuracy"] == [(18, np.float32(result.summary["headline/accuracy"]))]
    log = read(result.folder)
    assert log.Tensors("status/text_summary")[0].tensor_proto.string_val == [b"finished"]
    told = plugin_data_pb2.HParamsPluginData.FromString(  # pyright: ignore[reportAttributeAccessIssue]  # made by protobuf
        log.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info.hparams
    assert (told["model.name"].string_value, told["optimizer.lr"].number_value) == ("fastresnet9", 0.002)


@pytest.mark.parametrize(("how", "step"), [("killed", 9), ("terminated", 9), ("killed", 2)])
def test_a_broken_run_goes_on_in_the_same_log_with_no_step_twice(
    tmp_path: Path, small_run: list[str], how: Any, step: int
) -> None:
    # A probe's first row after a checkpoint has the same step as the last row before it.
    overrides = [*small_run, *ON, "probe.drift.every=1"]
    start_run(load_config(overrides).config, runs=tmp_path, name="unbroken")
    with broken_at(step, how):
        start_run(load_config(overrides).config, runs=tmp_path, name="broken")
    assert resume_run(tmp_path / "broken").status == "finished"
    assert curves(tmp_path / "broken") == curves(tmp_path / "unbroken")


def test_a_log_that_is_turned_on_at_a_resume_has_the_rows_from_before(tmp_path: Path, small_run: list[str]) -> None:
    with broken_at(9):
        start_run(load_config(small_run).config, runs=tmp_path, name="a")
    resume_run(tmp_path / "a", {"sink": {"tensorboard": {"mode": "local"}}})
    assert without_headline(curves(tmp_path / "a")) == rows_as_curves(tmp_path / "a")


def test_pictures_and_numbers_that_are_not_finite_are_taken(run: RunInfo) -> None:
    picture = run.folder / "errors.png"
    Image.new("RGB", (8, 4), "red").save(picture)
    it = TensorboardSink(Config(mode="local"))
    it.start(run)
    it.log(Record(1, 10, {"train/loss": float("nan")}, {"errors": picture}))
    it.finish("diverged", {})
    log = read(run.folder)
    (image,) = log.Images("errors")
    assert (image.width, image.height, image.step) == (8, 4, 10)
    assert np.isnan(log.Scalars("train/loss")[0].value)


def test_a_log_that_cannot_be_written_is_one_line_and_the_run_goes_on(
    run: RunInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    (run.folder / FOLDER).write_text("in the way")
    it = TensorboardSink(Config(mode="local"))
    it.start(run)
    it.log(Record(1, 10, {"train/loss": 1.0}))
    assert it.memory() == {"step": 10}
    it.finish("finished", {})
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("tensorboard: nothing is recorded: ")


def test_a_log_that_is_taken_away_is_one_line_and_the_run_goes_on(
    run: RunInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    it = TensorboardSink(Config(mode="local"))
    it.start(run)
    it.memory()
    shutil.rmtree(run.folder / FOLDER)
    it.log(Record(1, 10, {"train/loss": 1.0}))
    it.memory()
    it.finish("finished", {})
    said = [line.rpartition(": [Errno 2] ")[0] for line in capfd.readouterr().err.splitlines()]
    assert said and {*said} <= {"tensorboard: a row is not written", "tensorboard: not all is written"}


def test_rows_that_cannot_be_read_back_are_one_line_and_the_run_goes_on(
    run: RunInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    it = TensorboardSink(Config(mode="local"))
    it.start(replace(run, resumed=True))  # its folder has no config.yaml
    it.log(Record(1, 10, {"train/loss": 1.0}))
    it.finish("finished", {})
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("tensorboard: the rows from before are not written: ")
    assert [each.value for each in read(run.folder).Scalars("train/loss")] == [1.0]


def test_a_probe_that_is_on_is_told_where_its_panel_is(run: RunInfo, capfd: pytest.CaptureFixture[str]) -> None:
    plain = load_config(["model.name=lenet5", "probe.walk.every=30"]).config.model_dump(mode="json")
    it = TensorboardSink(Config(mode="local"))
    it.start(RunInfo("a", run.folder, plain, "0", {}, resumed=False, memory={}))
    it.finish("finished", {})
    assert capfd.readouterr().err == (
        f"tensorboard: curves only: `trainer preview panel NAME {run.folder}` draws the panels of probe.walk\n"
    )


def test_what_is_off_is_not_in_the_run_folder(tmp_path: Path, small_run: list[str]) -> None:
    result = start_run(load_config([*small_run, "train.max_steps=1"]).config, runs=tmp_path, name="a")
    assert not (result.folder / FOLDER).exists()
    assert json.loads((result.folder / "run.json").read_text())["status"] == "finished"
