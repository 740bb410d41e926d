"""The W&B sink without a server: no key, no connection, a connection lost; what is recorded offline can be sent."""

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

import pytest
import wandb
from standin import Standin
from standin.server import API_KEY
from standin.sinks import SUMMARY, epochs_of, log_epochs, sink

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.protocols import RunInfo
from trainer.sinks.wandb import WandbSink
from trainer.sinks.wandb_client import WandbClient
from trainer.training.network_arguments import complete_parts
from trainer.training.run import start_run
from trainer.wandb_api.run_files import rows_of


def type_in(command: str) -> str:
    """Return what the wandb command prints on stdout."""
    program, *arguments = shlex.split(command)
    assert program == "wandb"
    whole = [sys.executable, "-m", program, *arguments]
    return subprocess.run(whole, check=True, timeout=60, capture_output=True, text=True).stdout


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
        ("WANDB_PROJECT", "lr: sweep", "WANDB_PROJECT: Invalid project name 'lr: sweep': cannot contain"),
        ("WANDB_RUN_ID", "a/b", "WANDB_RUN_ID: Run ID cannot contain the characters"),
        (
            "WANDB_TAGS",
            f"a,{70 * 'x'}",
            "WANDB_TAGS: Tag 'xxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxx' is 70 characters",
        ),
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


def interrupted_behind(server: Standin, run: RunInfo, first_part: str) -> WandbSink:
    """Return the sink of a run's first two epochs, which the server does not have: `offline`, or `lost` on the way."""
    first = sink(mode="offline") if first_part == "offline" else sink(finish_timeout=2)
    first.start(run)
    if first_part == "lost":
        server.fail("file_stream", 404)
    log_epochs(first, range(1, 3))
    first.finish("interrupted", {})
    return first


@pytest.mark.parametrize("first_part", ["offline", "lost"])
def test_a_resume_stays_offline_behind_a_part_that_is_not_sent(
    server: Standin, run: RunInfo, first_part: str, capfd: pytest.CaptureFixture[str]
) -> None:
    first = interrupted_behind(server, run, first_part)
    second, third = sink(mode="online"), sink(mode="online")
    server.stop()
    server.heal()
    server.start()
    capfd.readouterr()

    second.start(replace(run, resumed=True, memory=first.memory()))
    log_epochs(second, range(3, 5))
    second.finish("interrupted", {})
    said = f"an earlier part of this run is not on the server yet; recording offline, `{second.sync_hint}` sends it"
    assert capfd.readouterr().err == f"wandb: {said} later\n"
    assert second.sync_hint
    type_in(second.sync_hint)
    assert epochs_of(server) == [1, 2, 3, 4]
    assert server.only_run.state == "preempted"

    third.start(replace(run, resumed=True, memory=second.memory()))
    log_epochs(third, range(5, 6))
    third.finish("finished", SUMMARY)
    assert third.sync_hint is None
    assert epochs_of(server) == [1, 2, 3, 4, 5]
    assert server.only_run.state == "finished"


@pytest.mark.parametrize("first_part", ["offline", "lost"])
@pytest.mark.filterwarnings("ignore:.*parameters.yaml:pytest.PytestUnraisableExceptionWarning")  # W&B leaves it open
def test_in_a_sweep_a_resume_is_online_also_behind_a_part_that_is_not_sent(
    server: Standin, run: RunInfo, first_part: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before: it went offline, and neither its value nor a stop passed between it and the sweep."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    monkeypatch.setenv("WANDB_RUN_ID", "point7")
    first = interrupted_behind(server, run, first_part)
    second, third = sink(mode="online"), sink(mode="online")
    server.heal()
    second.start(replace(run, resumed=True, memory=first.memory()))
    log_epochs(second, range(3, 5))
    assert not second.has_stopped()
    second.finish("interrupted", {})
    capfd.readouterr()

    third.start(replace(run, resumed=True, memory=second.memory()))
    said = f"an earlier part of this run is not on the server yet; once the run has ended, `{third.sync_hint}` sends it"
    assert capfd.readouterr().err.endswith(f"wandb: {said} all\n")
    log_epochs(third, range(5, 7))
    server.only_run.stop = True
    assert third.has_stopped()
    third.finish("finished", SUMMARY)
    for send in (False, True):
        if send:
            assert third.sync_hint
            type_in(third.sync_hint)
            assert [row["epoch"] for row in rows_of(server.only_run.history)] == [1, 2, 3, 4, 5, 6]
        assert (server.only_run.sweep, server.only_run.state) == ("s1", "finished")
        assert server.only_run.summary["test/accuracy"] == SUMMARY["test/accuracy"]


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


def test_what_the_client_refuses_is_named_with_its_key(capfd: pytest.CaptureFixture[str]) -> None:
    """Before: only that there was 1 validation error for Settings."""
    with WandbClient("offline").reported("nothing is recorded"):
        wandb.Settings(run_tags=("",), init_timeout="soon")  # pyright: ignore[reportArgumentType] - the mistake
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("wandb: nothing is recorded: init_timeout: 'soon': input should be a valid number")
    assert "; run_tags: Tag at index 0 is empty" in line


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
