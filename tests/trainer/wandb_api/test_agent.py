"""What a W&B agent hands to a run: the exact values from its file, the words only as a cross-check."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trainer.cli.main import main
from trainer.config.overrides import flatten, read_overrides
from trainer.errors import ConfigError
from trainer.protocols import Progress, Record, RunInfo, Status
from trainer.training import run
from trainer.wandb_api.agent import Assignment, assignment, begun

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = LEAVES | st.lists(LEAVES, max_size=3)


def handed_out(folder: Path, content: Any, **env: str) -> Assignment:
    path = folder / "config-run1.yaml"
    path.write_text(yaml.safe_dump(content))
    found = assignment({"WANDB_SWEEP_PARAM_PATH": str(path), **env})
    assert found
    return found


def assigned(**values: Any) -> Assignment:
    return Assignment({key.replace("__", "."): value for key, value in values.items()}, None)


def test_outside_of_an_agent_nothing_is_assigned() -> None:
    assert assignment({"WANDB_RUN_ID": "abc"}) is None


def test_the_file_is_read_with_its_types_and_only_its_outermost_keys_are_unwrapped(tmp_path: Path) -> None:
    found = handed_out(
        tmp_path,
        {
            "wandb_version": 1,
            "optimizer.lr": {"value": 1e-5},
            "optimizer": {"value": {"nesterov": False, "schedule": {"value": 3}}},
            "model.stem": {"desc": None, "value": [3, 3]},
            "train.max_steps": {"value": None},
        },
    )
    assert found.values == {
        "optimizer.lr": 1e-5,
        "optimizer.nesterov": False,
        "optimizer.schedule.value": 3,
        "model.stem": [3, 3],
        "train.max_steps": None,
    }


@given(VALUES)
def test_any_value_agrees_with_the_word_that_an_agent_makes_of_it_and_comes_in_exactly(value: Any) -> None:
    words = assigned(optimizer__knob=value).overrides([f"optimizer.knob={value}", "seed=4"])
    read = flatten(read_overrides(words))
    assert read == {"optimizer.knob": value, "seed": 4}
    assert type(read["optimizer.knob"]) is type(value)


def test_a_nested_parameter_agrees_with_the_dict_that_an_agent_writes() -> None:
    words = Assignment({"optimizer.wd": 0.0005, "optimizer.nesterov": True}, None).overrides([
        "optimizer={'nesterov': True, 'wd': 0.0005}"
    ])  # fmt: skip
    assert read_overrides(words) == {"optimizer": {"nesterov": True, "wd": 0.0005}}


def test_swept_values_that_the_command_leaves_out_are_taken_all_the_same() -> None:
    assert assigned(optimizer__lr=0.1, seed=2).overrides(["train.epochs=1"]) == [
        "train.epochs=1",
        "optimizer.lr=0.1",
        "seed=2",
    ]


@pytest.mark.parametrize(
    ("value", "word"),
    [(0.01, "0.1"), (True, "1"), (1, "True"), ([60, 120], "[60]"), (None, "0"), ("cosine", "step")],
)
def test_a_word_that_says_another_value_is_refused(value: Any, word: str) -> None:
    with pytest.raises(ConfigError) as error:
        assigned(optimizer__lr=value, seed=1).overrides([f"optimizer.lr={word}", "seed=1"])
    (line,) = error.value.problems
    assert line.startswith(f"optimizer.lr: the sweep says {value!r} and the command ")


def test_a_spelling_that_means_the_same_number_is_no_contradiction() -> None:
    assert assigned(lr=0.01, epochs=2.0).overrides(["lr=1e-2", "epochs=2"])[-2:] == ["lr=0.01", "epochs=2.0"]


@pytest.mark.parametrize("value", ["12e4567", "007", "True", 1000.0, 1, True, None, ["1e3", 1.0, True]])
def test_a_name_that_looks_like_a_number_is_no_contradiction(value: Any) -> None:
    for word in (str(value), json.dumps(value)):
        assigned(sink__wandb__group=value).overrides([f"sink.wandb.group={word}"])
    with pytest.raises(ConfigError, match="the sweep says '1e3' and the command '1000'"):
        assigned(sink__wandb__group="1e3").overrides(['sink.wandb.group="1000"'])


def test_the_folder_of_a_run_has_the_same_name_whenever_it_is_handed_out(tmp_path: Path) -> None:
    env = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "x/../y"}
    assert handed_out(tmp_path, {"seed": {"value": 1}}, **env).name == "s1-x-..-y"
    assert handed_out(tmp_path, {"seed": {"value": 1}}, WANDB_SWEEP_ID="s1").name is None


@pytest.mark.parametrize("text", ["seed: 3", "- 1", "a: [", None])
def test_a_broken_file_is_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as error:
        assignment({"WANDB_SWEEP_PARAM_PATH": str(path)})
    (line,) = error.value.problems
    assert line.startswith(f"WANDB_SWEEP_PARAM_PATH: {path}: ") and "\n" not in line


def test_a_folder_is_gone_on_with_only_where_its_run_has_begun(tmp_path: Path) -> None:
    folder = tmp_path / "s1-r1"
    assert begun(folder) is None
    folder.mkdir(parents=True)
    (folder / ".lock").touch()  # killed before its config was written
    assert begun(folder) is None
    (folder / "config.yaml").touch()
    assert begun(folder) == folder


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`trainer train WORDS` in this process: (exit code, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trainer", "train", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(str(ended.value.code)), out, err

    return run


def test_a_run_handed_out_again_goes_on_and_one_that_is_finished_is_only_reported(
    tmp_path: Path, small_run: list[str], train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("wandb_version: 1\noptimizer.lr: {value: 0.02}\nseed: {value: 5}\n")
    for name, value in {"SWEEP_PARAM_PATH": str(path), "SWEEP_ID": "s1", "RUN_ID": "r1"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    folder = tmp_path / "runs" / "s1-r1"
    command = [*small_run, "--runs", str(folder.parent), "optimizer.lr=0.02"]
    folder.mkdir(parents=True)  # killed before it began

    code, out, err = train(*command)
    assert (code, out.splitlines()[-1]) == (0, str(folder)), err
    assert "epoch 3/3" in err
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["optimizer"]["lr"], config["seed"]) == (0.02, 5)
    assert json.loads((folder / "summary.json").read_text())["status"] == "finished"

    code, out, err = train(*command)
    assert (code, out.splitlines()[-1]) == (0, str(folder))
    assert err.startswith("finished: already finished; nothing was done\n")

    code, _, err = train(*command, "seed=6")
    assert (code, err) == (2, "error: seed: the sweep says 5 and the command 6\n")


class Watcher:
    """A sink that wants a run over after its first epoch, and says so by itself or by a signal, as an agent does."""

    name = "watcher"

    def __init__(self, signalled: bool, stopped: bool) -> None:
        self.stop_requested = False
        self.signalled, self.stopped = signalled, stopped
        self.finished: Status | None = None

    def start(self, run: RunInfo) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def log(self, record: Record) -> None:
        if self.signalled:
            os.kill(os.getpid(), signal.SIGTERM)
        self.stop_requested = not self.signalled

    def memory(self) -> Mapping[str, Any]:
        return {}

    def has_stopped(self) -> bool:
        return self.stopped

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        self.finished = status


@pytest.mark.parametrize(
    ("signalled", "stopped", "status", "code"),
    [(False, True, "stopped", 0), (True, True, "stopped", 0), (True, False, "interrupted", 143)],
)
def test_what_a_server_stops_is_saved_and_ends_well_and_can_be_gone_on_with(
    tmp_path: Path, small_run: list[str], train: Any, monkeypatch: pytest.MonkeyPatch, signalled: bool, stopped: bool,
    status: str, code: int,
) -> None:  # fmt: skip
    watcher, build = Watcher(signalled, stopped), run.build_sinks
    with monkeypatch.context() as patch:
        patch.setattr(run, "build_sinks", lambda config, folder: [*build(config, folder), watcher])
        assert (ended := train(*small_run, "--runs", str(tmp_path), "--name", "a"))[0] == code
    folder = tmp_path / "a"
    told = [json.loads((folder / name).read_text())["status"] for name in ("summary.json", "run.json")]
    assert [*told, watcher.finished] == [status] * 3
    assert ("stopped: watcher asked to end this run\n" in ended[2]) == stopped
    assert f"resume with: trainer train --resume {folder}\n" in ended[2]

    assert train("--resume", str(folder))[0] == 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert json.loads((folder / "summary.json").read_text())["status"] == "finished"
