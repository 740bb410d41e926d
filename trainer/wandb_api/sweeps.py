"""Sweeps on a W&B server: register one, run its agents, show its progress, complete it.

W&B hands out each point once. A run that crashes is lost to its sweep. `rerun` runs its point again, into that sweep.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote, urlsplit

import typer
import wandb
import yaml

from trainer.config.base import is_settings
from trainer.errors import SweepError
from trainer.own.travel import as_parameters
from trainer.signals import LEASH, SECONDS_TO_SAVE
from trainer.sweep.check import check
from trainer.sweep.engine import device_env
from trainer.sweep.file import Sweep, parse_sweep, read_sweep
from trainer.sweep.gpus import refuse_missing_gpus
from trainer.sweep.own_parts import sources_in
from trainer.sweep.points import Checked, Point, points_of
from trainer.sweep.status import Attempt, Progress, State, as_text, progress
from trainer.wandb_api.client import asking

PATIENT = {
    "WANDB_AGENT_DISABLE_FLAPPING": "true",  # three points that diverge in the first minute must not end it,
    "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000000",  # nor must the first five. Every config is checked before
}
"""Environment of an agent that does not give up on a sweep with runs that diverge."""


@dataclass(frozen=True)
class Task:
    command: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Address of a sweep on the server."""

    entity: str
    project: str
    id: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.id}"

    @property
    def env(self) -> dict[str, str]:
        """Return the environment that puts a run into this sweep."""
        return {"WANDB_ENTITY": self.entity, "WANDB_PROJECT": self.project, "WANDB_SWEEP_ID": self.id}


def start(path: Path, *, agents: int, devices: Sequence[str], warn: Callable[[Checked], None] = lambda _: None) -> int:
    """Register a sweep file and run it with `agents` W&B agents here, the i-th on the i-th device, until it is done.

    Print the sweep's page. Return an exit code, 0 if every point is done. Raises SweepError if W&B cannot be asked, and
    before anything is registered if a point is impossible.
    """
    checked = check(read_sweep(path))
    warn(checked)
    texts = as_parameters(sources_in(checked.sweep))
    envs = [device_env(devices[number % len(devices)]) for number in range(agents)]
    refuse_missing_gpus(devices)
    with asking() as api:
        place = _register(path, checked.sweep, texts)
        typer.echo(api.sweep(str(place)).url)
    typer.echo(f"more agents, on any machine: wandb agent -f {place}", err=True)
    agent = [sys.executable, "-m", "trainer.cli.streams", *agent_of(str(place))]
    env = {**PATIENT, "WANDB_AGENT_KILL_DELAY": str(SECONDS_TO_SAVE), **_own_programs()}
    return _tell(place, _run_all([Task(agent, env)] * agents, envs))


def agent_of(sweep: str) -> list[str]:
    """Return the command of an agent for a sweep, which gives its runs the time to save."""
    return ["wandb", "agent", "-f", "-t", str(SECONDS_TO_SAVE), sweep]


def progress_of(id: str) -> tuple[Sweep, Progress]:
    """Return the progress of a W&B sweep, named by ENTITY/PROJECT/ID or its page. Raises SweepError."""
    place = read_place(id)
    with asking() as api:
        sweep = parse_sweep(yaml.safe_dump(api.sweep(str(place)).config), Path(str(place)))
        runs = api.runs(f"{place.entity}/{place.project}", filters={"sweep": place.id}, lazy=False)
        attempts = [attempt for run in runs if (attempt := _attempt(run, sweep))]
    return sweep, progress(points_of(sweep) if sweep.file.method == "grid" else [], attempts, sweep=sweep)


def rerun(id: str, *, runs: Path, devices: Sequence[str]) -> int:
    """Run here, into the sweep, each point that is neither done nor running, one at a time on each device.

    An interrupted run keeps its id, and resumes from its checkpoint if its folder is in `runs`. Return an exit code, 0
    if every point is done. Raises SweepError.
    """
    place = read_place(id)
    sweep, status = progress_of(id)
    if [part for part in sweep.file.command if not part.startswith("${")][:2] != ["trainer", "train"]:
        raise SweepError(f"{sweep.path}: command: only a sweep of `trainer train` can be run here")
    left = [point for point in status.points if point.state in ("missing", "interrupted", "crashed", "diverged")]
    envs = [device_env(device) for device in devices]
    refuse_missing_gpus(devices)
    with tempfile.TemporaryDirectory() as folder:
        tasks: list[Task] = []
        for status in left:
            run_id = status.attempts[0].where if status.state == "interrupted" else secrets.token_hex(4)
            values = _write_values(Path(folder) / f"{run_id}.yaml", status.point)
            env = {**place.env, "WANDB_RUN_ID": run_id, "WANDB_SWEEP_PARAM_PATH": str(values), LEASH: "1"}
            overrides = [*sweep.fixed, *status.point.overrides, "--runs", str(runs)]
            tasks.append(Task([sys.executable, "-m", "trainer.cli", "train", *overrides], env))
        return _tell(place, _run_all(tasks, envs))


def list_sweeps(project: str) -> list[str]:
    """Return a line for each sweep of ENTITY/PROJECT, or of the account's own PROJECT. Raises SweepError."""
    with asking() as api:
        entity, _, name = project.rpartition("/")
        return [
            f"{sweep.entity}/{sweep.project}/{sweep.id}  {str(sweep.state).lower():<8}  {sweep.name}  {sweep.url}"
            for sweep in api.project(name, entity or None).sweeps()
        ]


def read_place(id: str) -> Place:
    """Read ENTITY/PROJECT/ID, or the address of a sweep's page. Raises SweepError."""
    parts = [unquote(part) for part in urlsplit(id).path.strip("/").split("/")]
    if "://" in id:
        parts = [*parts[-4:-2], parts[-1]] if len(parts) >= 4 and parts[-2] == "sweeps" else []
    if len(parts) != 3 or not all(parts):
        raise SweepError(f"{id}: expected ENTITY/PROJECT/ID, or the address of a sweep's page on W&B")
    return Place(*parts)


def _register(path: Path, sweep: Sweep, texts: Mapping[str, Any]) -> Place:
    """Register the file in the project it names, or else in that of W&B's environment.

    `texts` are further parameters: those of own parts.
    """
    config = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    config["parameters"] |= texts
    with contextlib.redirect_stdout(sys.stderr):
        id = wandb.sweep(config, entity=sweep.file.entity, project=sweep.file.project)
    # W&B leaves what the server made of entity and project in its environment, for agents.
    return Place(os.environ["WANDB_ENTITY"], os.environ["WANDB_PROJECT"], id)


def _own_programs() -> dict[str, str]:
    """Return the PATH on which `trainer` and `wandb` are those of this Python."""
    return {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])}


def _attempt(run: Any, sweep: Sweep) -> Attempt | None:
    """Return the attempt of a run, or None if its config lacks swept values: it never began, or is of another file."""
    config, summary = _with_sections(run.config), run.summary_metrics
    if not sweep.space.keys() <= config.keys():
        return None
    value = summary.get(sweep.file.metric.name) if sweep.file.metric else None
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    state = _state(run.state, summary.get("status"))
    message = f"W&B's state of it is {run.state}" if state == "crashed" else ""
    point = Point({key: _as_written(config[key], choice.choices) for key, choice in sweep.space.items()})
    return Attempt(point, state, number, run.id, message)


def _with_sections(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value under its dotted key, a section as it was sent and each of its own values."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found[f"{prefix}{key}"] = value
        if is_settings(value):
            found |= _with_sections(value, f"{prefix}{key}.")
    return found


def _as_written(value: Any, choices: Sequence[Any]) -> Any:
    """Return a swept section with the numbers of the file, where W&B may have made 1 of 1.0."""
    return next((choice for choice in choices if choice == value), value) if is_settings(value) else value


def _state(of_run: str, said: Any) -> State:
    """Return the state from W&B's state of a run and the status that the run sent when it ended."""
    match of_run, said:
        case ("pending", _):
            return "waiting"
        case ("running" | "preempting", _):
            return "running"
        case ("preempted", _) | (_, "interrupted"):
            return "interrupted"
        case (_, "stopped"):
            return "stopped"
        case ("finished", _):
            return "finished"
        case (_, "diverged"):
            return "diverged"
        case _:  # failed, crashed, killed
            return "crashed"


def _write_values(path: Path, point: Point) -> Path:
    """Write the file that W&B's agent writes. The run and W&B's client read the swept values from it."""
    wrapped = {key: {"value": value} for key, value in point.values.items()}
    path.write_text(yaml.safe_dump({"wandb_version": 1, **wrapped}, allow_unicode=True), encoding="utf-8")
    return path


def _tell(place: Place, signalled: int | None) -> int:
    """Print the sweep's progress and return the exit code."""
    if signalled:
        typer.echo(f"continue with: trainer sweep rerun {place}", err=True)
        return 128 + signalled
    _, now = progress_of(str(place))
    typer.echo(as_text(now), err=True)
    if now.complete:
        return 0
    typer.echo(f"run what is left: trainer sweep rerun {place}", err=True)
    return 1


def _run_all(tasks: Sequence[Task], slots: Sequence[Mapping[str, str]]) -> int | None:
    """Run commands, one in each slot's environment at once; return the signal that ended this early.

    Each SIGINT and SIGTERM is passed on, and nothing is started after it. The processes are in groups of their own,
    so that a Ctrl-C in the terminal reaches them only once.
    """
    running: dict[int, subprocess.Popen[bytes]] = {}
    caught: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        for process in running.values():
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    waiting = iter(tasks)
    try:
        while True:
            for slot, env in enumerate(slots):
                if slot in running and running[slot].poll() is None:
                    continue
                if ended := running.pop(slot, None):
                    ended.communicate()  # closes its stdin
                if not caught and (task := next(waiting, None)):
                    whole = {**os.environ, **task.env, **env}
                    running[slot] = subprocess.Popen(task.command, env=whole, stdin=subprocess.PIPE, process_group=0)
                    for number in caught:  # while it was started
                        running[slot].send_signal(number)
            if not running:
                return caught[0] if caught else None
            time.sleep(0.1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
