"""`trainer sweep submit`, after the flags are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import SweepError

_TASKS = 8


@dataclass(frozen=True)
class Tasks:
    """Who runs the points of a file: the tasks of an array, or the nodes of a Ray cluster."""

    array: int | None = None
    nodes: int | None = None
    per_device: int = 1

    def __post_init__(self) -> None:
        if self.array and self.nodes:
            raise SweepError("--array and --nodes: an array has tasks that do not know each other; take one of the two")

    def of(self, points: int, file: Path) -> int:
        """Return how many there are. Raises SweepError for more than `points` need."""
        enough = -(-points // self.per_device)
        asked, flag = (self.nodes, "--nodes") if self.nodes else (self.array, "--array")
        if asked and asked > enough:
            raise SweepError(f"{flag} {asked}: {file} has {points} points; {flag} {enough} is enough")
        return asked or min(_TASKS, enough)


def command_of(
    file: Path, words: Sequence[str], tasks: Tasks, runs: Path, storage: str | None
) -> tuple[list[str], int]:
    """Return the command of each task of a sweep file, or of the driver on a Ray cluster, and the number of tasks.

    Raises SweepError for a point that cannot be run, for more tasks or nodes than they could use, and for a password,
    which the job's script would show.
    """
    from trainer.cli import sweep_here as here
    from trainer.sweep.local import open_sweep
    from trainer.sweep.slurm import HEAD
    from trainer.sweep.storage import without_password

    if storage and without_password(storage) != storage:
        raise SweepError("--storage: the job's script would show its password; set TRAINER_STORAGE instead")
    checked = open_sweep(file, words, runs=runs).checked
    here.warn_of(checked)
    points = len(checked.entries) or checked.sweep.file.run_cap
    count = tasks.of(points, file) if points else tasks.array or tasks.nodes or _TASKS
    command = ["trainer", "sweep", "run", str(file), *words]
    command += [] if runs == Path("runs") else ["--runs", str(runs)]
    command += ["--storage", storage] if storage else []
    command += ["--ray", HEAD] if tasks.nodes else []
    command += ["--per-device", str(tasks.per_device)] if tasks.per_device > 1 else []
    return command, count


def patient_agent_of(sweep: str) -> list[str]:
    """Return the command of an agent for a W&B sweep, which does not give up on runs that diverge."""
    from trainer.wandb_api.sweeps import PATIENT, agent_of

    return ["env", *(f"{name}={value}" for name, value in PATIENT.items()), *agent_of(sweep)]
