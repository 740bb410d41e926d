"""Processor time from the start of a process to an answer, or to the end of a first training step."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from trainer.bench.rounds import in_turns, result, spread
from trainer.config.train import Train

_FIRST_STEP = "--data shapes10 train.max_steps=1 sink.wandb.mode=disabled"
STARTS: Mapping[str, str] = {  # words after `trainer`, by what is measured
    "help": "--help",
    "config": "config --model resnet18",
    "models": "models",
    "layers": "models resnet18",
    "wrong model": "train --model resnet81",
    "wrong argument": "train --model resnet18 model.widht=8",
    "wrong schedule": "train schedule.name=cosin",
    "wrong point": "sweep check wrong.yaml",
    "wrong network of timm": "train --model timm/resnet81",
    "wrong optimizer of timm": "train optimizer.name=timm/lambb",
    "wrong list": "train --model res9 model.stem=[0]",
    "wrong precision": "train train.precision=float16 train.device=cpu",
    "wrong folder": "train --runs wrong.yaml",
    "first step lenet5": f"train --model lenet5 {_FIRST_STEP}",
    "first step resnet18": f"train --model resnet18 {_FIRST_STEP}",
}
_SWEEP = "method: grid\nparameters:\n  model.name: {value: resnet81}\n"


def bench_start(*, rounds: int = 5, starts: Mapping[str, str] = STARTS) -> dict[str, Any]:
    """Return user and system time of each command, in seconds.

    The first round, which is not counted, leaves compiled Python files in a folder of its own, as an install has them.
    A first step has the evaluation after it, which is part of the number.

    Raises RuntimeError for a command that does not end as it should: its time would be that of something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "wrong.yaml").write_text(_SWEEP)
        sides = {name: partial(_seconds, name, words, Path(folder)) for name, words in starts.items()}
        seconds = in_turns(sides, rounds=rounds)
    from trainer.training.device import choose_compute

    measured = {name: {"processor time, s": spread(seconds[name])} for name in starts}
    return result("start", measured, rounds=rounds, gpu=choose_compute(Train()).measured_on)  # as a first step takes it


def _seconds(name: str, words: str, folder: Path) -> float:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.cli", *words.split()],
        cwd=folder,
        env=env | {"PYTHONPYCACHEPREFIX": str(folder / "compiled")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)  # with the time of this child alone
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (2 if name.startswith("wrong") else 0):
        raise RuntimeError(f"`trainer {words}` ended with exit code {process.returncode}")
    return used.ru_utime + used.ru_stime
