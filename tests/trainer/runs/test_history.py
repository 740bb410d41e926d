"""Runs read from their folders: everything that is there, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.config import load_config
from trainer.config.overrides import flatten
from trainer.errors import CheckpointError, ConfigError, DiskError
from trainer.runs.history import find_runs, read_history
from trainer.runs.results import read_result
from trainer.training.run import start_run


def run_folder(folder: Path, rows: str = "", config: str = "seed: 0\nmodel: {name: lenet5}\n") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "metrics.jsonl").write_text(rows)
    return folder


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path, small_run: list[str]) -> None:
    config = load_config([*small_run, "train.log_every=2"]).config
    result = start_run(config, runs=tmp_path, name="a")
    history = read_history(result.folder)
    assert (history.name, history.folder) == ("a", result.folder)
    assert history.config == flatten(config.model_dump(mode="json"))
    assert history.summary == result.summary
    assert history.rows == [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history.having("test/accuracy")] == [1, 2, 3]
    assert [row["step"] for row in history.having("train/loss_running")] == [2, 4, 6, 8, 10, 12, 14, 16, 18]


def test_a_run_that_is_under_way_or_was_killed_has_the_whole_rows_alone(tmp_path: Path) -> None:
    whole = '{"epoch": 0.5, "step": 1, "train/loss": 2.5}\n'
    history = read_history(run_folder(tmp_path / "a", whole + '{"epoch": 1, "step": 2, "train/lo'))
    assert history.rows == [{"epoch": 0.5, "step": 1, "train/loss": 2.5}]
    assert (history.summary, history.confusion) == ({}, [])
    (tmp_path / "a" / "metrics.jsonl").unlink()
    assert read_history(tmp_path / "a").rows == []


@pytest.mark.parametrize("line", [b"\xff\xfe", b"\x00" * 40, b"[" * 200_000, b'{"epoch": 1, "step'])
def test_rows_end_before_a_line_that_is_no_row(tmp_path: Path, line: bytes) -> None:
    whole = b'{"epoch": 0.5, "step": 1, "train/loss": 2.5}\n'
    folder = run_folder(tmp_path / "a")
    (folder / "metrics.jsonl").write_bytes(whole + line + b"\n" + whole)
    assert read_history(folder).rows == [{"epoch": 0.5, "step": 1, "train/loss": 2.5}]
    (kind, said), *_ = read_result(folder).notes
    assert (kind, said.partition(";")[0]) == ("truncated", "metrics.jsonl: line 2 of 3 is not JSON")


def test_a_folder_or_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path / "a")
    for name in ("metrics.jsonl", "summary.json", "confusion.json"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", denied(Path.read_bytes, name))
            (folder / name).touch()
            with pytest.raises(DiskError, match=rf"{name}: cannot be read: Permission denied$"):
                read_history(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", denied(Path.is_file, "config.yaml"))
        with pytest.raises(CheckpointError, match=r"config.yaml: cannot be read: Permission denied$"):
            find_runs([folder.parent])  # `a` would be left out otherwise
        with pytest.raises(CheckpointError, match=r"a: cannot be read: Permission denied$"):
            read_result(folder)


def denied(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method of Path that is not allowed for files of a name."""

    def call(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return method(path, *args, **kwargs)

    return call


def test_rows_with_a_key_are_those_where_it_is_a_finite_number(tmp_path: Path) -> None:
    numbers = ["0", "null", "NaN", "-Infinity", "-1.5"]
    rows = "".join(f'{{"epoch": 0, "step": {step}, "a": {value}, "b": 1}}\n' for step, value in enumerate(numbers))
    history = read_history(run_folder(tmp_path / "a", rows + '{"epoch": 0, "step": 5, "b": 1}\n'))
    assert [row["step"] for row in history.having("a")] == [0, 4]
    assert [row["step"] for row in history.having("b", "a")] == [0, 4]
    assert len(history.having("b")) == 6


def test_the_rows_of_a_run_share_the_names_of_their_metrics(tmp_path: Path) -> None:
    row = '{"epoch": 0, "step": 0, "runs/grad_distance": 1}\n'
    first, second = read_history(run_folder(tmp_path / "a", row * 2)).rows
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_the_runs_of_a_sweep_are_found_in_its_folder_each_once_by_name(tmp_path: Path) -> None:
    for name in ("sweep/b", "sweep/a", "single", "sweep/a/inner"):
        run_folder(tmp_path / name)
    run_folder(tmp_path / "sweep" / ".a.part")  # half of a copy
    sweep, single = tmp_path / "sweep", tmp_path / "single"
    assert find_runs([sweep, single]) == [sweep / "a", sweep / "b", single]
    assert find_runs([sweep / "b", sweep, sweep / ".." / "sweep" / "a"]) == [sweep / "b", sweep / "a"]


def test_each_path_without_a_run_is_named(tmp_path: Path) -> None:
    run_folder(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError) as caught:
        find_runs([tmp_path / "empty", tmp_path / "a", tmp_path / "nowhere"])
    assert caught.value.problems == (
        f"{tmp_path}/empty: not a run folder, and contains none",
        f"{tmp_path}/nowhere: no such folder",
    )
    with pytest.raises(CheckpointError, match=r"empty: not a run folder \(no config.yaml in it\)"):
        read_history(tmp_path / "empty")


def test_a_config_that_is_not_yaml_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml: not YAML") as caught:
        read_history(run_folder(tmp_path / "a", config="a: [1"))
    assert len(caught.value.problems) == 1


def test_a_run_that_is_read_from_inside_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_folder(tmp_path / "a"))
    assert read_history(Path()).name == "a"
