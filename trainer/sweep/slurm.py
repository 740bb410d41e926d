"""A sweep as a job of Slurm: an array whose tasks take points until none is left, or a Ray cluster on its nodes."""

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
HEAD = "$head:$port"  # what the driver's command has for --ray: the script's variables, which the shell fills in
# `symmetric-run` starts Ray's head or a worker, by the node that it is on. The driver is not its entry point, since it
# passes no signal on. It refuses a node on which Ray runs, and stops all of it at the end, so nodes are taken whole.
_CLUSTER = (
    "export RAY_USAGE_STATS_ENABLED=0",
    "export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300",  # for a head whose file system is slow; 30 s else
    'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
    "port=$((20000 + SLURM_JOB_ID % 10000))",
    'srun --cpus-per-task="$SLURM_CPUS_PER_TASK" '  # which it does not take from sbatch since Slurm 22.05
    f'ray symmetric-run --address "{HEAD}" --num-cpus "$SLURM_CPUS_PER_TASK" -- sleep infinity &',
    f'until ray status --address "{HEAD}" > /dev/null 2>&1; do kill -0 $! || exit 1; sleep 2; done',
)
_TIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")


@dataclass(frozen=True)
class Job:
    """A job for sbatch. Words that sbatch itself checks (partition, gres) are passed on as they are."""

    name: str
    tasks: int  # of the array, or nodes of the Ray cluster
    command: Sequence[str]  # of each task, or of the cluster's driver
    ray: bool = False
    gres: str | None = None  # of each task or node, such as gpu:1
    cpus: int = 4  # of each task or node
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
        for each in (self.name, self.gres, self.partition, *self.more):
            if each is not None and not each.isprintable():
                raise SweepError(f"{each!r}: an option of sbatch is one line")

    def script(self, folder: Path, binaries: Path) -> str:
        """Return a batch script that runs `command` in `folder`, with `binaries` first on the PATH.

        `exec` puts the command in the place of the shell. So the signal reaches it, and its runs save.
        """
        shape = {"nodes": self.tasks, "ntasks-per-node": 1} if self.ray else {"array": f"0-{self.tasks - 1}"}
        asked = {
            "job-name": self.name,
            **shape,
            "gres": self.gres,
            "cpus-per-task": self.cpus,
            "time": self.time,
            "partition": self.partition,
            "signal": f"B:TERM@{_SAVES_WITHIN}",
        }
        options = [f"--{key}={value}" for key, value in asked.items() if value is not None]
        whole = ["--exclusive"] if self.ray else []
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {shlex.quote(option)}" for option in [*options, *whole, "--requeue", *self.more]),
            f"cd {shlex.quote(str(folder))} || exit 1",
            f'export PATH={shlex.quote(str(binaries))}:"$PATH"',
            *(_CLUSTER if self.ray else ()),
            f"exec {_joined(self.command)}",
        ]
        return "\n".join(lines) + "\n"


def _joined(command: Sequence[str]) -> str:
    return " ".join(f'"{HEAD}"' if word == HEAD else shlex.quote(word) for word in command)


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
