"""What `trainer sweep` says of a sweep on W&B: the real client's Api against a stand-in that holds the runs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import run_here
from standin import ENTITY, Run, Standin, Sweep

from trainer.config.overrides import flatten, read_overrides
from trainer.errors import SweepError
from trainer.sweep import gpus
from trainer.sweep.status import Progress
from trainer.wandb_api import sweeps as remote

FILE = """
project: p
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "data.name=${envvar:DATA}", "${args_no_hyphens}", train.epochs=2]
parameters:
  optimizer: {parameters: {lr: {values: [1.0, 0.5]}}}
  model.norm: {value: batch}
  seed: {values: [0, 1, 2, 3]}
"""


@pytest.fixture
def server(server: Standin) -> Standin:
    """The stand-in with a sweep."""
    server.store.sweeps["s1"] = Sweep("s1", "p", FILE)
    return server


def add(server: Standin, id: str, state: str, *, lr: float, seed: int, status: str = "", **summary: Any) -> None:
    config = {"optimizer.lr": lr, "optimizer": {"lr": lr}, "model.norm": "batch", "seed": seed, "train.epochs": 2}
    raw = {key: {"value": value} for key, value in config.items()}
    told = {**summary, **({"status": status} if status else {})}
    server.runs[id] = Run(id, "p", sweep="s1", state=state, raw_config=raw, summary=told, upserts=1)


def states(progress: Progress) -> list[str]:
    return [status.state for status in progress.points]


def test_the_points_are_the_files_and_their_states_those_of_the_runs(server: Standin) -> None:
    add(server, "a", "finished", lr=1, seed=0, status="finished", **{"test/accuracy": 0.5})  # JSON makes 1 of 1.0
    add(server, "b", "finished", lr=1.0, seed=1, status="stopped", **{"test/accuracy": 0.25})
    add(server, "c", "failed", lr=1.0, seed=2, status="diverged")
    add(server, "d", "running", lr=1.0, seed=3, status="interrupted")
    add(server, "e", "preempted", lr=0.5, seed=0, status="interrupted")
    add(server, "f", "crashed", lr=0.5, seed=1)
    add(server, "g", "pending", lr=0.5, seed=2)
    add(server, "h", "finished", lr=0.25, seed=0)  # of an earlier form of the file
    server.runs["i"] = Run("i", "p", sweep="s1", state="pending", upserts=1)  # handed out, not begun
    sweep, progress = remote.progress_of(f"{ENTITY}/p/s1")

    assert [status.point.values["optimizer.lr"] for status in progress.points] == [1.0] * 4 + [0.5] * 4
    assert states(progress) == [
        "finished", "stopped", "diverged", "running", "interrupted", "crashed", "waiting", "missing",
    ]  # fmt: skip
    assert [status.value for status in progress.points[:3]] == [0.5, 0.25, None]
    assert [status.point.values["optimizer.lr"] for status in progress.foreign] == [0.25]
    assert progress.points[5].attempts[0].message == "W&B's state of it is crashed"
    assert (sweep.name, progress.varied) == ("s1", ["optimizer.lr", "seed"])


def test_sections_that_are_swept_are_values(server: Standin) -> None:
    """Before: no point of such a sweep was ever done."""
    schedules = [{"name": "step", "gamma": 1.0}, {"name": "cosine"}]
    parameters = {"schedule": {"values": schedules}, "augment": {"parameters": {"crop": {"values": [{"padding": 1}]}}}}
    server.store.sweeps["s1"] = Sweep("s1", "p", yaml.safe_dump({"method": "grid", "parameters": parameters}))
    for id, schedule in (("a", {"name": "step", "gamma": 1}), ("b", {"name": "cosine"})):  # JSON makes 1 of 1.0
        sent = flatten({"schedule": {**schedule, "warmup_epochs": 0}, "augment": {"crop": {"padding": 1, "mode": "x"}}})
        config = {"schedule": schedule, "augment": {"crop": {"padding": 1}}, **sent}
        raw = {key: {"value": value} for key, value in config.items()}
        server.runs[id] = Run(id, "p", sweep="s1", state="finished", raw_config=raw, upserts=1)
    _, progress = remote.progress_of(f"{ENTITY}/p/s1")
    assert states(progress) == ["finished", "finished"] and progress.foreign == ()


def test_a_point_that_was_run_again_counts_by_its_best_run_and_one_run_twice_is_duplicated(server: Standin) -> None:
    add(server, "a", "crashed", lr=1.0, seed=0)
    for id in ("b", "c"):
        add(server, id, "finished", lr=1.0, seed=0)
    _, progress = remote.progress_of(f"{ENTITY}/p/s1")
    assert progress.points[0].state == "finished"
    assert progress.points[0].duplicated
    assert [attempt.where for attempt in progress.points[0].attempts] == ["b", "c", "a"]


def test_of_a_random_search_the_points_are_those_of_its_runs(server: Standin) -> None:
    server.store.sweeps["s1"] = Sweep("s1", "p", FILE.replace("grid", "random"))
    add(server, "a", "finished", lr=1.0, seed=0)
    assert states(remote.progress_of(f"{ENTITY}/p/s1")[1]) == ["finished"]


@pytest.mark.parametrize(
    "id",
    [
        "me/cnn/s1",
        "https://api.forge.coreweave.com/wandb/me/cnn/sweeps/s1",
        "https://wandb.example.org/me/cnn/sweeps/s1?nw=a/b",
    ],
)
def test_a_sweep_is_named_by_its_path_or_its_page(id: str) -> None:
    assert str(remote.read_place(id)) == "me/cnn/s1"


@pytest.mark.parametrize(
    "id", ["s1", "cnn/s1", "me/cnn/sweeps/s1", "me//s1", "https://x.org/me/cnn/runs/s1", "https://x.org"]
)
def test_another_name_is_refused(id: str) -> None:
    with pytest.raises(SweepError, match="expected ENTITY/PROJECT/ID"):
        remote.read_place(id)


def test_what_is_in_the_way_is_one_line(trouble: str) -> None:
    with pytest.raises(SweepError) as error:
        remote.progress_of(f"{ENTITY}/p/s1")
    (line,) = error.value.problems
    assert line.startswith("W&B: ") and "\n" not in line
    assert ("WANDB_API_KEY" in line) == (trouble == "no login")


def test_a_sweep_that_is_not_there_is_one_line(server: Standin) -> None:
    server.store.sweeps.clear()
    with pytest.raises(SweepError, match=r"W&B: .*Could not find sweep"):
        remote.progress_of(f"{ENTITY}/p/s1")


def test_the_sweeps_of_a_project_are_listed(server: Standin) -> None:
    server.store.sweeps["s2"] = Sweep("s2", "other", FILE)
    (line,) = remote.list_sweeps(f"{ENTITY}/p")
    assert line.startswith(f"{ENTITY}/p/s1  running ")
    assert line.endswith("/sweeps/s1")


RECORDER = """
import json, os, sys
names = [name for name in os.environ if name.startswith(("WANDB_SWEEP", "WANDB_RUN", "WANDB_PROJ", "WANDB_ENT"))]
env = {name: os.environ[name] for name in names}
values = open(env.pop("WANDB_SWEEP_PARAM_PATH")).read()
with open("seen.jsonl", "a") as file:
    file.write(json.dumps({"words": sys.argv[1:], "env": env, "values": values}) + "\\n")
"""


def test_a_rerun_starts_what_is_not_done_as_an_agent_would(
    server: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, state in enumerate(["finished", "running", "crashed", "preempted"]):
        add(server, f"r{number}", state, lr=1.0, seed=number)
    for number in range(3):
        add(server, f"q{number}", "finished", lr=0.5, seed=number)
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").touch()
    (tmp_path / "trainer" / "cli.py").write_text(RECORDER)  # in place of a training: `python -m` looks here first
    monkeypatch.setenv("DATA", "shapes10")

    code = remote.rerun(f"{ENTITY}/p/s1", runs=Path("there"), devices=["auto"])

    assert code == 1  # nothing was trained: the server says so
    crashed, preempted, missing = map(json.loads, Path("seen.jsonl").read_text().splitlines())
    swept = ["model.norm=batch", "optimizer.lr=1.0"]
    assert crashed["words"] == ["train", "data.name=shapes10", "train.epochs=2", *swept, "seed=2", "--runs", "there"]
    place = {"WANDB_ENTITY": ENTITY, "WANDB_PROJECT": "p", "WANDB_SWEEP_ID": "s1"}
    assert crashed["env"] == {**place, "WANDB_RUN_ID": crashed["env"]["WANDB_RUN_ID"]}
    assert preempted["env"] == {**place, "WANDB_RUN_ID": "r3"}
    assert not {crashed["env"]["WANDB_RUN_ID"], missing["env"]["WANDB_RUN_ID"]} & server.runs.keys()
    assert "optimizer.lr:\n  value: 0.5\n" in missing["values"] and "seed:\n  value: 3\n" in missing["values"]


def test_a_sweep_of_another_program_is_not_rerun(server: Standin) -> None:
    server.store.sweeps["s1"] = Sweep("s1", "p", FILE.replace("trainer, train", "python, train.py"))
    with pytest.raises(SweepError, match="only a sweep of `trainer train`"):
        remote.rerun(f"{ENTITY}/p/s1", runs=Path("there"), devices=["auto"])


@pytest.mark.filterwarnings("ignore:Read the `app_url` setting:DeprecationWarning")  # of wandb.sweep's own
def test_start_registers_the_file_and_starts_an_agent_a_device(
    server: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("project: mine\nmethod: grid\nparameters: {seed: {values: [0, 1]}, model.name: {value: lenet5}}\n")
    started: list[Any] = []
    monkeypatch.setattr(remote, "_run_all", lambda tasks, slots: started.extend(zip(tasks, slots, strict=True)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "count_gpus", lambda: 1)
    with pytest.raises(SweepError, match="--devices: cuda:1: torch sees 1 CUDA devices here"):
        remote.start(path, agents=3, devices=["cuda:0", "cuda:1"])
    assert not [sweep for sweep in server.store.sweeps.values() if sweep.project == "mine"], "nothing is registered"
    monkeypatch.setattr(gpus, "count_gpus", lambda: 2)
    code = remote.start(path, agents=3, devices=["cuda:0", "cuda:1"])

    assert code == 1  # these agents ran nothing
    (sweep,) = (sweep for sweep in server.store.sweeps.values() if sweep.project == "mine")
    assert capfd.readouterr().out == f"{server.url}/{ENTITY}/mine/sweeps/{sweep.id}\n"
    assert [slot["CUDA_VISIBLE_DEVICES"] for _, slot in started] == ["0", "1", "0"]
    task = started[0][0]
    assert task.command[1:5] == ["-m", "trainer.cli.streams", "wandb", "agent"]
    assert task.command[-1] == f"{ENTITY}/mine/{sweep.id}"
    assert task.env["WANDB_AGENT_DISABLE_FLAPPING"] == "true"
    assert task.env["PATH"].startswith(str(Path(sys.executable).parent))


@pytest.mark.slow
def test_start_until_decided_runs_the_rounds_here_and_shows_them_in_one_group(
    server: Standin, tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")  # which is taken back afterwards
    fixed = {key: {"value": value} for key, value in flatten(read_overrides(small_run)).items() if "sink" not in key}
    varied = {"optimizer.lr": {"values": [0.002, 0.000001]}, "train.max_steps": {"value": 6}}
    metric = {"name": "test/accuracy", "goal": "maximize"}
    content = {"name": "g", "project": "mine", "method": "grid", "metric": metric, "parameters": fixed | varied}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    assert run_here(["sweep", "start", "a.yaml", "--until", "decided", "--at-most", "3", "--at-least", "3"]) in (0, 1)
    assert len(server.runs) >= 6, "three seeds of each, and more where a run stayed at chance"
    assert {(run.project, run.group, run.sweep) for run in server.runs.values()} == {("mine", "g", None)}


def test_nothing_is_registered_where_a_point_is_impossible(server: Standin, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("method: grid\nparameters: {seed: {values: [0, -1]}}\n")
    with pytest.raises(SweepError):
        remote.start(path, agents=1, devices=["auto"])
    assert list(server.store.sweeps) == ["s1"] and not server.requests
