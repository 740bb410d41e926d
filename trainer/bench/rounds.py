"""Measurements in turns, and their one form: medians with minimum and maximum, as JSON and as a table.

A measurement is {"bench", "measured": {ROW: {COLUMN: {"median", "min", "max"}}}, "rounds", "settings", "machine"}.
A column's name ends with its unit: `images/s`, `s`, `ratio`, `%`.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trainer.errors import UserError
from trainer.runs.provenance import machine
from trainer.text import NONE, table

Spread = dict[str, float]
Measured = Mapping[str, Mapping[str, Spread]]


def in_turns(sides: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Return the number of each side in each round. A first round is not counted: it warms up what is measured.

    Slow and fast minutes of a shared machine so fall on all sides. Every other round goes backwards.
    """
    for side in sides.values():
        side()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(rounds):
        for name in sides if i % 2 == 0 else reversed(list(sides)):
            found[name].append(sides[name]())
    return found


def spread(values: Sequence[float]) -> Spread:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the spread of the ratios of two sides, round by round."""
    return spread([a / b for a, b in zip(over, under, strict=True)])


def run_trainer(words: Sequence[str]) -> None:
    """Run the command line in a process of its own. Raises UserError for what it refuses, RuntimeError if it fails."""
    done = subprocess.run([sys.executable, "-m", "trainer.cli", *words], capture_output=True, text=True, check=False)
    said = done.stderr.strip()
    if done.returncode == 2:
        raise UserError(said.splitlines()[-1].removeprefix("error: "))
    if done.returncode:
        raise RuntimeError(f"`trainer {' '.join(words)}` ended with exit code {done.returncode}: {said[-500:]}")


def result(bench: str, measured: Measured, *, rounds: int, gpu: Mapping[str, str], **settings: Any) -> dict[str, Any]:
    """Return a measurement with the machine that it is of, as plain values. `gpu` is `Compute.measured_on`."""
    return {"bench": bench, "measured": measured, "rounds": rounds, "settings": settings, "machine": machine(gpu)}


def as_text(content: Mapping[str, Any]) -> str:
    """Return a measurement as columns for a terminal, with rounds and machine below."""
    lines = list(grid(content))
    return "\n\n".join([table(lines, right=range(1, len(lines[0]))), origin(content)])


def grid(content: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the header of a measurement's table, then its rows. A cell is `median (min to max)`."""
    measured: Measured = content["measured"]
    columns = list(dict.fromkeys(column for row in measured.values() for column in row))
    yield [str(content["bench"]), *columns]
    for name, row in measured.items():
        yield [name, *(_cell(row[column]) if column in row else NONE for column in columns)]


def origin(content: Mapping[str, Any]) -> str:
    """Return `5 rounds, batch_size 128 (PROCESSOR with AMX, 2 cores, Python 3.11, torch 2.15, ...)`.

    The GPU comes before the processor if the measurement was on one.
    """
    machine = content["machine"]
    settings = [f"{key} {_setting(value)}" for key, value in content["settings"].items()]
    fast = [{"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}[each] for each in machine.get("bfloat16", [])]
    processor = f"{machine['processor']} with {' and '.join(fast) or 'neither AMX nor AVX512-BF16'}"
    if "gpu" in machine:
        processor = f"{machine['gpu']} with CUDA {machine['cuda']} and cuDNN {machine['cudnn']}, beside {processor}"
    versions = [f"{name} {version}" for name, version in machine["versions"].items()]
    where = [processor, f"{machine['cores']} cores", f"Python {machine['python']}", *versions]
    first = ", ".join([f"{content['rounds']} rounds", *settings])
    return f"{first} ({', '.join(where)}, {machine['measured'][:10]})"


def _cell(value: Spread) -> str:
    if value["min"] == value["max"]:
        return _shown(value["median"])
    return f"{_shown(value['median'])} ({_shown(value['min'])} to {_shown(value['max'])})"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _setting(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
