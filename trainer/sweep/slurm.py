"""A sweep as an array job of Slurm: each task takes points until none is left or its time is over."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import SweepError

_SAVES_WITHIN = 120  # seconds before the end at which a run is asked to save; it needs less than 60
_TIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")


@dataclass(frozen=True)
class Job:
    """A job for sbatch. Words that sbatch itself checks (partition, gres) are passed on as they are."""

    name: str
    tasks: int
    command: Sequence[str]  # of each task
    gres: str | None = None  # such as gpu:1
    cpus: int = 4  # per task
    time: str = "4:00:00"
    partition: str | None = None
    more: Sequence[str] = ()  # further options of sbatch, such as --account=NAME

    def __post_init__(self) -> None:
        if not _TIME.fullmatch(self.time):
            raise SweepError(
                f"--time {self.time}: Slurm reads MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS, such as 4:00:00"
            )
        for each in self.more:
            if not each.startswith("-"):
                raise SweepError(f"--sbatch {each}: not an option of sbatch; did you mean --{each.lstrip('-')}?")
        for each in (self.gres, self.partition, *self.more):
            if each is not None and not each.isprintable():
                raise SweepError(f"{each!r}: an option of sbatch is one line")

    def script(self, folder: Path, binaries: Path) -> str:
        """Return a batch script that runs `command` in `folder`, with `binaries` first on the PATH.

        `exec` puts the command in the place of the shell. So the signal reaches it, and its runs save.
        """
        asked = {
            "job-name": self.name,
            "array": f"0-{self.tasks - 1}",
            "gres": self.gres,
            "cpus-per-task": self.cpus,
            "time": self.time,
            "partition": self.partition,
            "signal": f"B:TERM@{_SAVES_WITHIN}",
        }
        options = [f"--{key}={value}" for key, value in asked.items() if value is not None]
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in [*options, "--requeue", *self.more]),
            f"cd {shlex.quote(str(folder))} || exit 1",
            f'export PATH={shlex.quote(str(binaries))}:"$PATH"',
            f"exec {shlex.join(self.command)}",
        ]
        return "\n".join(lines) + "\n"


def binaries() -> Path:
    """Return the folder of the commands of this environment, which `wandb agent` and its sweep files call."""
    return Path(sys.prefix) / "bin"


def submit(script: str) -> str:
    """Hand a script to sbatch and return what it says. Raises SweepError if there is no sbatch, or if it refuses."""
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise SweepError("sbatch: not found. Submit where Slurm is installed, or take the script: --print")
    done = subprocess.run([sbatch], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with code {done.returncode}"
        raise SweepError(f"sbatch refused the job: {said}")
    return done.stdout.strip()
