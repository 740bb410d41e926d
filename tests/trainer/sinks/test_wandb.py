"""The W&B sink with the real client and a stand-in for its server on a loopback port."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from standin import Standin
from standin.sinks import CONFIG, SUMMARY, epochs_of, log_epochs, sink

from trainer.config.sink import WandbSink as Config
from trainer.panels.registry import panel
from trainer.panels.rows_inspect import reliability_rows
from trainer.protocols import Record, RunInfo
from trainer.sinks.tables import panel_table
from trainer.sinks.wandb import WandbSink

FLAT = {
    "seed": 3,
    "model.name": "fastresnet9",
    "model.stem": [3, 3, 3],
    "optimizer.lr": 0.4,
    "optimizer.nesterov": True,
    "train.max_steps": None,
}
NO_LAYERS = {"layers": {"rows": []}}


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


@pytest.mark.parametrize("before", ["off", "disabled"])
def test_turned_on_at_a_resume_it_gets_the_rows_from_before(
    server: Standin, run: RunInfo, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: W&B never had them."""
    memory: Any = {}
    if before == "disabled":
        monkeypatch.setenv("WANDB_MODE", "disabled")
        first = sink()
        first.start(run)
        memory = first.memory()
        monkeypatch.delenv("WANDB_MODE")
    (run.folder / "config.yaml").write_text("seed: 3\n")
    rows = ({"epoch": epoch, "step": 10 * epoch, "test/accuracy": None} for epoch in (1, 2))
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    second, third = sink(mode="online"), sink(mode="online")
    second.start(replace(run, resumed=True, memory=memory))
    log_epochs(second, range(3, 4))
    second.finish("interrupted", {})
    assert epochs_of(server) == [1, 2, 3]
    third.start(replace(run, resumed=True, memory=second.memory()))
    third.finish("finished", SUMMARY)
    assert epochs_of(server) == [1, 2, 3], "what it has is not sent again"


def test_rows_from_before_that_cannot_be_read_do_not_end_the_run(
    server: Standin, run: RunInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    (run.folder / "config.yaml").write_text("seed: 3\n")
    (run.folder / "metrics.jsonl").write_text('{"epoch": 1, "step": "x"}\n')
    it = sink()
    it.start(replace(run, resumed=True, memory={}))
    log_epochs(it, range(2, 4))
    it.finish("interrupted", {})
    assert epochs_of(server) == [2, 3]
    assert capfd.readouterr().err.splitlines()[-1].startswith("wandb: the rows from before are not sent: ")


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
