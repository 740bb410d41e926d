"""The W&B sink with the real client and a stand-in for its server on a loopback port."""

import json
import os
import pty
import shlex
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image
from standin import Standin
from standin.server import API_KEY

from trainer.config import load_config
from trainer.config.sink import WandbSink as Config
from trainer.errors import ConfigError
from trainer.panels.registry import panel
from trainer.panels.rows_inspect import reliability_rows
from trainer.protocols import Record, RunInfo
from trainer.sinks.tables import panel_table
from trainer.sinks.wandb import WandbSink
from trainer.training.networks import complete_parts
from trainer.training.run import start_run

CONFIG = {
    "seed": 3,
    "model": {"name": "fastresnet9", "stem": [3, 3, 3]},
    "optimizer": {"lr": 0.4, "nesterov": True},
    "train": {"max_steps": None},
}
FLAT = {
    "seed": 3,
    "model.name": "fastresnet9",
    "model.stem": [3, 3, 3],
    "optimizer.lr": 0.4,
    "optimizer.nesterov": True,
    "train.max_steps": None,
}
NO_LAYERS = {"layers": {"rows": []}}
SUMMARY = {"test/accuracy": 0.5, "test/accuracy_best": 0.75, "time/train_seconds": 1.5, "model/parameters": 1000}


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    return RunInfo("first", folder, CONFIG, "0123abcd", {}, resumed=False, memory={})


def sink(**config: Any) -> WandbSink:
    return WandbSink(Config(**{"init_timeout": 20, "finish_timeout": 20, **config}))


def log_epochs(sink: WandbSink, epochs: range) -> float:
    """Log a row per epoch. Return the longest time that one took."""
    seconds: list[float] = []
    for epoch in epochs:
        start = time.perf_counter()
        sink.log(Record(epoch, 10 * epoch, {"test/accuracy": epoch / 100}))
        seconds.append(time.perf_counter() - start)
    return max(seconds)


def epochs_of(server: Standin) -> list[int]:
    return [row["epoch"] for row in server.only_run.history]


def type_in(command: str) -> str:
    """Return what the wandb command prints on stdout."""
    program, *arguments = shlex.split(command)
    assert program == "wandb"
    whole = [sys.executable, "-m", program, *arguments]
    return subprocess.run(whole, check=True, timeout=60, capture_output=True, text=True).stdout


def test_an_online_run_arrives_flat_and_on_the_axis_of_epochs(
    server: Standin, run: RunInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    it = sink(project="ablations", group="lr", tags=("a", "b"))
    it.start(run)
    log_epochs(it, range(1, 4))
    it.finish("finished", SUMMARY)

    sent = server.only_run
    assert (sent.project, sent.name, sent.group, sent.tags) == (
        "ablations",
        "first",
        "lr",
        ["a", "b", "cfg:0123abcd"],
    )
    assert sent.config == FLAT
    assert [(row["epoch"], row["step"], row["test/accuracy"]) for row in sent.history] == [
        (1, 10, 0.01),
        (2, 20, 0.02),
        (3, 30, 0.03),
    ]
    assert sent.axis_of("test/accuracy") == "epoch"
    assert sent.axis_of("epoch") is None
    assert sent.summary.items() >= {**SUMMARY, "status": "finished"}.items()
    assert (sent.state, sent.exit_code) == ("finished", 0)
    assert it.memory() == {"id": sent.id}
    assert it.sync_hint is None
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"wandb: {server.url}/standin/ablations/runs/{sent.id}\n"


def test_pictures_and_the_best_checkpoint_are_sent_along(server: Standin, run: RunInfo) -> None:
    picture = run.folder / "errors.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    (run.folder / "best.pt").write_bytes(b"weights")
    it = sink(checkpoint=True)
    it.start(run)
    it.log(Record(1, 10, {"test/accuracy": 0.1}, {"errors": picture}))
    it.finish("finished", SUMMARY)

    (row,) = server.only_run.history
    assert row["test/accuracy"] == 0.1
    assert server.only_run.files[row["errors"]["path"]] == picture.read_bytes()
    (artifact,) = server.store.artifacts.values()
    assert artifact["artifactCollectionName"] == f"checkpoint-{server.only_run.id}"
    assert artifact["state"] == "COMMITTED"
    assert artifact["files"]["best.pt"] == b"weights"


def test_tables_given_to_the_sink_take_the_place_of_the_folders(server: Standin, run: RunInfo) -> None:
    older, newer = (
        {"calibration": {"bins": [{"above": 0.0, "to": 1.0, "images": 8, "confidence": 0.5, "accuracy": accuracy}]}}
        for accuracy in (0.25, 0.75)
    )
    (run.folder / "inspect").mkdir()
    files = {"config.yaml": "seed: 3\n", "metrics.jsonl": "", "inspect/inspect.json": json.dumps(older | NO_LAYERS)}
    for name, text in files.items():
        (run.folder / name).write_text(text)
    it = WandbSink(Config(), [panel_table(panel("reliability"), reliability_rows(newer, "first"), None)])
    it.start(run)
    it.finish("finished", SUMMARY)
    (table,) = (body for name, body in server.only_run.files.items() if "panels/reliability" in name)
    assert json.loads(table)["data"] == [[50.0, 75.0]]  # confidence, accuracy


@pytest.mark.parametrize(("status", "state"), [("diverged", "failed"), ("interrupted", "preempted")])
def test_the_state_on_the_server_says_how_the_run_ended(server: Standin, run: RunInfo, status: Any, state: str) -> None:
    it = sink()
    it.start(run)
    log_epochs(it, range(1, 2))
    it.finish(status, {})
    assert server.only_run.state == state
    assert server.only_run.summary["status"] == status


def test_a_resumed_run_keeps_its_id_and_shows_the_new_config(server: Standin, run: RunInfo) -> None:
    first, second = sink(), sink()
    first.start(run)
    log_epochs(first, range(1, 3))
    first.finish("interrupted", {})
    longer = {**CONFIG, "train": {"max_steps": 100}}
    second.start(replace(run, resumed=True, memory=first.memory(), config=longer))
    log_epochs(second, range(3, 5))
    second.finish("finished", SUMMARY)

    assert second.memory() == first.memory()
    assert epochs_of(server) == [1, 2, 3, 4]
    assert server.only_run.config == {**FLAT, "train.max_steps": 100}
    assert server.only_run.state == "finished"


@pytest.mark.filterwarnings("ignore:.*parameters.yaml:pytest.PytestUnraisableExceptionWarning")  # W&B leaves it open
def test_in_a_sweep_the_agents_id_and_values_win_without_a_warning(
    server: Standin, run: RunInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("wandb_version: 1\noptimizer.lr: {value: 0.4}\nseed: {value: 3}\n")
    for name, value in {
        "PROJECT": "swept",
        "RUN_ID": "point7",
        "SWEEP_ID": "s1",
        "SWEEP_PARAM_PATH": parameters,
    }.items():
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    it = sink(project="another")
    it.start(run)
    log_epochs(it, range(1, 2))
    it.finish("finished", SUMMARY)

    sent = server.only_run
    assert (sent.id, sent.sweep, sent.project) == ("point7", "s1", "swept")
    assert sent.config == FLAT
    assert capfd.readouterr().err.count("\n") == 1  # the page of the run


@pytest.mark.slow  # the client asks whether to stop every 15 s
def test_a_run_that_the_server_stops_ends_well_and_is_not_assigned_again(server: Standin, run: RunInfo) -> None:
    it = sink()
    it.start(run)
    log_epochs(it, range(1, 2))
    server.only_run.stop = True
    deadline = time.monotonic() + 60
    while not it.stop_requested and time.monotonic() < deadline:
        time.sleep(0.1)
    assert it.has_stopped()
    it.finish("stopped", {})
    assert (server.only_run.state, server.only_run.exit_code) == ("finished", 0)
    assert server.only_run.summary["status"] == "stopped"


@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.filterwarnings("ignore:.*parameters.yaml:pytest.PytestUnraisableExceptionWarning")  # W&B leaves it open
def test_a_signal_in_a_sweep_is_the_servers_stop_if_the_server_says_so(
    server: Standin, run: RunInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: bool
) -> None:
    if swept:
        monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    it = sink()
    it.start(run)
    assert not it.has_stopped()
    server.only_run.stop = True  # the client has not heard of it yet
    assert it.has_stopped() == swept  # outside of a sweep nobody sends signals for the server: it is not asked
    it.finish("interrupted", {})


def test_a_server_that_does_not_say_has_not_stopped_the_run(
    server: Standin, run: RunInfo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    it = sink()
    it.start(run)
    server.only_run.stop = True
    capfd.readouterr()
    server.fail("graphql", 404)
    assert not it.has_stopped()
    server.heal()
    it.finish("interrupted", {})
    assert capfd.readouterr().err.startswith("wandb: taken as interrupted, since W&B does not say whether")
    assert server.only_run.state == "preempted"


@contextmanager
def terminal_without_a_person() -> Generator[list[str]]:
    """Provide a terminal as stdin, at its end of file, and stderr. Yield a list that gets the lines shown there."""
    person, program = pty.openpty()
    os.write(person, b"\x04")
    shown: list[str] = []
    with os.fdopen(program, "r", closefd=False) as stdin, os.fdopen(program, "w", buffering=1) as stderr:
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(stderr):
            patch.setattr(sys, "stdin", stdin)
            yield shown
        stderr.write("that was all\n")
        said = ""
        while "that was all" not in said:  # a terminal returns what it has so far
            said += os.read(person, 10_000).decode()
        shown += said.splitlines()[:-1]
    os.close(person)


def test_without_an_api_key_it_records_offline_and_asks_neither_person_nor_server(
    server: Standin, run: RunInfo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    it = sink()
    with terminal_without_a_person() as shown:
        it.start(run)
        log_epochs(it, range(1, 4))
        it.finish("finished", SUMMARY)
        wandb.teardown()

    assert shown == [f"wandb: no API key configured; recording offline, `{it.sync_hint}` sends it later"]
    assert capfd.readouterr() == ("", "")
    assert server.requests == []  # telemetry would show here
    (segment,) = (run.folder / "wandb").glob("offline-run-*")
    assert it.sync_hint == f"wandb sync {segment.relative_to(Path.cwd())}"
    read_back = json.loads(type_in(f"wandb leet inspect --summary --json {segment}"))
    assert read_back["summary"].items() >= {**SUMMARY, "epoch": 3, "step": 30}.items()


def test_a_key_in_netrc_is_enough_and_stays_out_of_the_run_folder(
    server: Standin, run: RunInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "home").mkdir()
    netrc = f"machine {server.url.removeprefix('http://')}\n  login user\n  password {API_KEY}\n"
    (tmp_path / "home" / "netrc").write_text(netrc)
    it = sink()
    it.start(run)
    it.finish("finished", SUMMARY)
    wandb.teardown()
    assert server.only_run.state == "finished"
    assert not [path for path in run.folder.rglob("*") if path.is_file() and API_KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_auto_follows_wandb_mode(server: Standin, run: RunInfo, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    it = sink()
    it.start(run)
    log_epochs(it, range(1, 2))
    it.finish("finished", SUMMARY)
    wandb.teardown()
    assert server.requests == []
    assert (run.folder / "wandb").exists() == (it.sync_hint is not None) == (mode == "offline")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WANDB_MODE", "ofline", "WANDB_MODE: 'ofline' is not a choice; did you mean 'offline'?"),
        ("WANDB_MODE", "bogus", "WANDB_MODE: 'bogus' is not a choice; one of disabled, dryrun, offline, online, run"),
        ("WANDB_INIT_TIMEOUT", "x", "WANDB_INIT_TIMEOUT: 'x': input should be a valid number"),
    ],
)
def test_an_environment_that_wandb_cannot_read_is_one_line_and_leaves_nothing(
    name: str, value: str, said: str, small_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    config = load_config([*small_run[:-1]], complete=complete_parts).config
    with pytest.raises(ConfigError) as caught:
        start_run(config, runs=tmp_path / "runs")
    (line,) = caught.value.problems
    assert line.startswith(said)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("fault", ["refuse", "hang"])
def test_a_server_that_is_down_at_the_start_costs_its_timeout_and_no_row(
    server: Standin, run: RunInfo, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if fault == "refuse":
        server.stop()
    else:
        server.fail("graphql", "hang")
    it = sink(init_timeout=1)
    start = time.perf_counter()
    it.start(run)
    assert time.perf_counter() - start < 1 + 10
    log_epochs(it, range(1, 4))
    it.finish("finished", SUMMARY)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"wandb: {server.url}: ")
    assert line.endswith(f"; recording offline, `{it.sync_hint}` sends it later")

    server.stop()
    server.heal()
    server.start()
    assert it.sync_hint
    type_in(it.sync_hint)
    assert server.only_run.id == it.memory()["id"]
    assert epochs_of(server) == [1, 2, 3]
    assert server.only_run.summary["test/accuracy"] == 0.5


def test_the_hint_names_every_offline_segment_of_a_resumed_run(server: Standin, run: RunInfo) -> None:
    first, second = sink(mode="offline"), sink(mode="offline")
    first.start(run)
    log_epochs(first, range(1, 3))
    first.finish("interrupted", {})
    second.start(replace(run, resumed=True, memory=first.memory()))
    log_epochs(second, range(3, 5))
    second.finish("finished", SUMMARY)
    assert server.requests == []
    assert second.sync_hint
    type_in(second.sync_hint)
    assert epochs_of(server) == [1, 2, 3, 4]


def test_dropped_connections_lose_no_row_and_do_not_slow_the_run(server: Standin, run: RunInfo) -> None:
    it = sink()
    it.start(run)
    server.fail("file_stream", "drop", times=2)
    log_epochs(it, range(1, 2))  # the first one loads what the client needs
    assert log_epochs(it, range(2, 101)) < 0.5
    it.finish("finished", SUMMARY)
    assert epochs_of(server) == list(range(1, 101))
    assert it.sync_hint is None


@pytest.mark.parametrize("fault", ["gone", "refused"])
def test_the_hint_sends_what_a_lost_server_did_not_get(
    server: Standin, run: RunInfo, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    it = sink(finish_timeout=2)
    it.start(run)
    if fault == "gone":
        server.stop()
    else:
        server.fail("file_stream", 404)  # at this one the client gives up at once, without an error
    log_epochs(it, range(1, 4))
    start = time.perf_counter()
    it.finish("finished", SUMMARY)
    assert time.perf_counter() - start < 2 + 3
    assert it.sync_hint
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.endswith(f"`{it.sync_hint}` sends what is on disk")

    server.stop()
    server.heal()
    server.start()
    type_in(it.sync_hint)
    assert epochs_of(server) == [1, 2, 3]
    assert server.only_run.summary["test/accuracy"] == 0.5


def test_a_failing_client_is_one_line_and_does_not_end_the_run(
    server: Standin, run: RunInfo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise wandb.Error("the client has died\nand more")

    it = sink()
    it.start(run)
    capfd.readouterr()
    monkeypatch.setattr(wandb.Run, "log", fail)
    log_epochs(it, range(1, 10))
    it.finish("finished", SUMMARY)
    assert capfd.readouterr().err == "wandb: a row is not sent: the client has died\n"
    assert server.only_run.state == "finished"
