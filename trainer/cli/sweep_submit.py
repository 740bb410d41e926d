"""`trainer sweep submit`, after the flags are read."""

from collections.abc import Sequence
from pathlib import Path

from trainer.errors import SweepError

_TASKS = 8


def command_of(
    file: Path, tasks: int | None, words: Sequence[str], runs: Path, storage: str | None
) -> tuple[list[str], int]:
    """Return the command of each task of a sweep file, and the number of tasks.

    Raises SweepError for a point that cannot be run, for more tasks than points, and for a password, which the job's
    script would show.
    """
    from trainer.cli import sweep_here as here
    from trainer.sweep.local import open_sweep
    from trainer.sweep.storage import without_password

    if storage and without_password(storage) != storage:
        raise SweepError("--storage: the job's script would show its password; set TRAINER_STORAGE instead")
    checked = open_sweep(file, words, runs=runs).checked
    here.warn_of(checked)
    points = len(checked.entries) or checked.sweep.file.run_cap or tasks or _TASKS
    if tasks is not None and tasks > points:
        raise SweepError(f"--array {tasks}: {file} has {points} points; --array {points} is enough")
    place = [] if runs == Path("runs") else ["--runs", str(runs)]
    command = ["trainer", "sweep", "run", str(file), *words, *place, *(["--storage", storage] if storage else [])]
    return command, tasks or min(_TASKS, points)


def agent_of(sweep: str) -> list[str]:
    """Return the command of an agent for a W&B sweep."""
    return ["wandb", "agent", "-f", "-t", "60", sweep]
