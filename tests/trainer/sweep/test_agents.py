"""W&B's own command line and agents, as processes, against a stand-in of its server: `trainer train` inside them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from standin import Run, Standin

from trainer.config.overrides import flatten, nest, read_overrides
from trainer.runs.folder import read_config
from trainer.sweep.file import read_sweep
from trainer.sweep.local import open_sweep
from trainer.sweep.points import Point, points_of
from trainer.wandb_api import sweeps as remote

SMOKE = Path(__file__).parents[3] / "sweeps" / "smoke.yaml"
COMMAND = ["${env}", "trainer", "train", "${args_no_hyphens}"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """The stand-in, and an environment and folder in which the client and its children know nothing else."""
    for name in os.environ:
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("WANDB_PROJECT", "WANDB_ERROR_REPORTING"):  # the client sets them: this takes it back afterwards
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with Standin() as server:
        for name, value in server.env(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def tiny(tmp_path: Path, small_run: list[str]) -> Callable[..., Path]:
    """Writes a sweep file over the smallest run."""

    def write(*words: str, **swept: Any) -> Path:
        flat = flatten(read_overrides([*small_run, *words]))
        fixed = {key: {"value": value} for key, value in flat.items() if key != "sink.wandb.mode"}
        varied = {key.replace("__", "."): spec for key, spec in swept.items()}
        parameters = {**fixed, **varied, "sink.wandb.init_timeout": {"value": 60}}
        path = tmp_path / "tiny.yaml"
        content = {"project": "p", "method": "grid", "command": COMMAND, "parameters": parameters}
        content["metric"] = {"name": "test/accuracy", "goal": "maximize"}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def wandb_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "wandb", *words]


def register(path: Path) -> str:
    """`wandb sweep FILE`; the ENTITY/PROJECT/ID of the `wandb agent` line that it prints."""
    said = subprocess.run(wandb_command("sweep", str(path)), capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"wandb agent (\S+)", said.stderr)
    assert found, said.stderr
    return found[1]


@contextmanager
def agents(sweep: str, count: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """`wandb agent -f`, so many at once. Whatever is left of them at the end is killed, with what they started."""
    with Path("agents.log").open("ab") as log:
        command = wandb_command("agent", "-f", sweep)
        started = [subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) for _ in range(count)]
    try:
        yield started
    finally:
        for agent in started:
            kill_with_children(agent)


def descendants_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    children = [int(word) for word in listed.stdout.split()]
    return [*children, *(each for child in children for each in descendants_of(child))]


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, as of a machine that has died."""
    victims = descendants_of(process.pid) if process.poll() is None else []
    process.kill()
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def wait_until(happened: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, Path("agents.log").read_text()[-3000:]
        time.sleep(0.05)


def wait_for(processes: Sequence[subprocess.Popen[bytes]], seconds: float = 300) -> None:
    for process in processes:
        assert process.wait(seconds) == 0, Path("agents.log").read_text()[-3000:]


def points_run(server: Standin, path: Path) -> list[str]:
    """Keys of the points whose runs have finished on the server, sorted."""
    space = read_sweep(path).space
    finished = [flatten(run.config) for run in server.runs.values() if run.state == "finished"]
    return sorted(Point({key: config[key] for key in space}).key for config in finished)


def points_asked(path: Path) -> list[str]:
    return sorted(point.key for point in points_of(read_sweep(path)))


def folder_of(run: Run) -> Path:
    return Path("runs") / f"{run.sweep}-{run.id}"


def is_training(run: Run) -> bool:
    """Seen from its folder: W&B's client sends its first rows only after a quarter of a minute."""
    rows = folder_of(run) / "metrics.jsonl"
    return rows.exists() and rows.read_bytes().count(b"\n") >= 3


def epochs_of(run: Run) -> list[float]:
    return [row["epoch"] for row in run.history if "train/loss" in row]


def test_two_agents_run_every_point_once_and_all_of_it_arrives_with_its_types(server: Standin, tiny: Any) -> None:
    path = tiny(
        optimizer__lr={"values": [0.01, 0.02]},
        optimizer__nesterov={"value": False},
        train__max_steps={"value": None},
        sink__wandb__tags={"value": ["1", "true", "a, b"]},
        train__epochs={"value": 1},
    )
    sweep = register(path)
    with agents(sweep, 2) as both:
        wait_for(both)

    assert points_run(server, path) == points_asked(path)
    assert len(server.runs) == 2
    for run in server.runs.values():
        config = yaml.safe_load((folder_of(run) / "config.yaml").read_text())
        for where in (nest(run.config), config):
            assert where["optimizer"]["nesterov"] is False
            assert where["train"]["max_steps"] is None
            assert where["sink"]["wandb"]["tags"] == ["1", "true", "a, b"]
            assert type(where["optimizer"]["lr"]) is float
        assert run.config["optimizer.lr"] == config["optimizer"]["lr"]
        assert epochs_of(run) == [1]
        assert run.summary["status"] == "finished" and 0 <= run.summary["test/accuracy"] <= 1
        (digest,) = [tag for tag in run.tags if tag.startswith("cfg:")]
        assert run.tags == ["1", "true", "a, b", digest]
    assert len({run.tags[-1] for run in server.runs.values()}) == 2


@pytest.mark.slow
def test_the_smoke_sweep_runs_under_two_agents_as_its_header_says(server: Standin) -> None:
    sweep = register(SMOKE)
    with agents(sweep, 2) as both:
        wait_for(both)
    assert points_run(server, SMOKE) == points_asked(SMOKE)
    assert len(server.runs) == 4
    assert {run.project for run in server.runs.values()} == {"cifar-sweeps-smoke"}
    assert all(epochs_of(run) == [1] and run.exit_code == 0 for run in server.runs.values())

    progress, _ = open_sweep(SMOKE, runs=Path("here")).run(devices=["auto"], jobs=2, watch=lambda _: None)
    assert progress.complete
    assert configs_under(Path("here/smoke")) == configs_under(Path("runs")), "point by point"


def configs_under(folder: Path) -> list[dict[str, Any]]:
    """The resolved configs of all runs, whole."""
    found = [read_config(path.parent).model_dump(mode="json") for path in folder.glob("*/config.yaml")]
    assert len(found) == 4
    return sorted(found, key=str)


@pytest.mark.slow
def test_a_nested_parameter_means_the_same_as_a_dotted_one(server: Standin, tiny: Any) -> None:
    path = tiny("train.epochs=1", optimizer={"parameters": {"lr": {"values": [0.01]}, "nesterov": {"value": True}}})
    with agents(register(path)) as one:
        wait_for(one)
    config = yaml.safe_load((folder_of(server.only_run) / "config.yaml").read_text())
    assert (config["optimizer"]["lr"], config["optimizer"]["nesterov"]) == (0.01, True)
    assert points_run(server, path) == points_asked(path)


@pytest.mark.slow
def test_what_a_killed_agent_leaves_behind_is_seen_and_run_again_into_the_sweep(
    server: Standin, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny("train.epochs=100", seed={"values": [0, 1]})
    sweep = register(path)
    with agents(sweep) as (first,):
        wait_until(lambda: any(map(is_training, server.runs.values())))
        (lost,) = server.runs.values()
        kill_with_children(first)
    server.store.give_up(lost.id)
    with agents(sweep) as (second,):
        wait_for([second])
    assert lost.state == "crashed" and len(server.runs) == 2  # the server has not handed it out again

    _, progress = remote.progress_of(sweep)
    states = {status.point.values["seed"]: status.state for status in progress.points}
    assert states == {0: "crashed", 1: "finished"}

    assert remote.rerun(sweep, runs=Path("runs"), devices=["auto"]) == 0
    assert points_run(server, path) == points_asked(path)
    assert {run.sweep for run in server.runs.values()} == {lost.sweep}
    _, progress = remote.progress_of(sweep)
    assert progress.complete and not any(status.duplicated for status in progress.points)


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_preempted_run_goes_on_from_its_checkpoint_under_its_id_by_the_next_agent(
    server: Standin, tiny: Any, elsewhere: bool
) -> None:
    path = tiny("train.epochs=100", *(["sink.wandb.checkpoint=every:1"] if elsewhere else []), seed={"values": [0]})
    sweep = register(path)
    with agents(sweep) as (first,):
        wait_until(lambda: any(map(is_training, server.runs.values())))
        first.terminate()
        assert first.wait(120) == 0
    run = server.only_run
    assert run.state == "preempted" and run.summary["status"] == "interrupted"
    done = len(epochs_of(run))
    assert 0 < done < 100
    if elsewhere:  # the next agent's machine has no folder of it
        shutil.rmtree("runs")
    with agents(sweep) as (second,):
        wait_for([second])
    assert server.only_run is run
    assert Path("agents.log").read_text().count("resuming fastresnet9") == 1
    assert epochs_of(run) == list(range(1, 101))
    assert (run.state, run.summary["status"]) == ("finished", "finished")
    assert len(list(Path("runs").iterdir())) == 1


@pytest.mark.slow
def test_a_run_that_the_server_stops_ends_well_and_the_agent_takes_the_next(server: Standin, tiny: Any) -> None:
    path = tiny("train.epochs=100000", seed={"values": [0, 1]})
    sweep = register(path)
    with agents(sweep) as (agent,):
        for number in range(2):
            wait_until(lambda number=number: len(server.runs) > number and is_training([*server.runs.values()][number]))
            run = [*server.runs.values()][number]
            run.stop = True  # the agent hears of it first, and sends SIGTERM
            wait_until(lambda run=run: run.exit_code is not None)
            assert (run.state, run.exit_code, run.summary["status"]) == ("finished", 0, "stopped")
            assert (folder_of(run) / "checkpoint.pt").exists()
        wait_for([agent])
    said = Path("agents.log").read_text()
    assert said.count("stopped: wandb asked to end this run") == 2
    _, progress = remote.progress_of(sweep)
    assert [status.state for status in progress.points] == ["stopped", "stopped"]


def start(path: Path, log: Path) -> subprocess.Popen[bytes]:
    """`remote.start` with one agent, as a process."""
    code = (
        "import pathlib, sys; from trainer.wandb_api.sweeps import start\n"
        "sys.exit(start(pathlib.Path(sys.argv[1]), agents=1, devices=['cpu']))"
    )
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=file, stderr=file, start_new_session=True
        )


@pytest.mark.slow
def test_a_started_sweep_goes_on_though_its_first_points_all_diverge(server: Standin, tiny: Any) -> None:
    path = tiny("train.epochs=1", optimizer__lr={"value": 1e8}, seed={"values": [0, 1, 2, 3, 4, 5]})
    started = start(path, Path("agents.log"))
    try:
        assert started.wait(400) == 1  # none of its points is done
    finally:
        kill_with_children(started)
    assert [(run.state, run.summary["status"]) for run in server.runs.values()] == [("failed", "diverged")] * 6
    assert "0 of 6 points are done" in Path("agents.log").read_text()


@pytest.mark.slow
def test_a_started_sweep_passes_a_signal_on_and_leaves_nothing_running(server: Standin, tiny: Any) -> None:
    started = start(tiny("train.epochs=100000", seed={"values": [0, 1]}), Path("agents.log"))
    try:
        wait_until(lambda: any(map(is_training, server.runs.values())))
        started.terminate()
        assert started.wait(120) == 143
    finally:
        kill_with_children(started)
    assert (server.only_run.state, server.only_run.summary["status"]) == ("preempted", "interrupted")
    assert "continue with: trainer sweep rerun standin/p/sweep1\n" in Path("agents.log").read_text()
