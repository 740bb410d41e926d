"""Origin of a run: code, versions, machine and command. No environment variables of the user's and no keys."""

import contextlib
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from trainer.threads import cores

_PACKAGES = ("cifar-sweeps", "torch", "torchvision", "timm", "wandb", "numpy", "numba")

NODE = "TRAINER_NODE"
"""Environment variable of a run on a cluster: the node's name and its GPUs, as JSON."""


def segments_of(provenance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the start of a run.json, and each of its resumes that can be read."""
    resumed = provenance.get("resumed")
    later = cast("list[Any]", resumed) if isinstance(resumed, list) else []
    return [provenance, *(each for each in later if isinstance(each, Mapping))]


def provenance(
    *, device: str, precision: str, ranks: int, command: Sequence[str], seed: int, gpu: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what run.json keeps of a run's start, as plain values. `gpu` are versions, and the GPU's `capability`."""
    libraries = dict(gpu or {})
    capability = {"capability": libraries.pop("capability")} if libraries else {}
    return {
        "seed": seed,
        "command": shlex.join(command),
        "started": now(),
        "git": _git(),
        "device": device,
        "precision": precision,
        "ranks": ranks,
        "python": platform.python_version(),
        "versions": _versions() | libraries,
        "machine": {
            "system": platform.platform(),
            "processor": processor(),  # `device` has it only without a GPU
            "cores": os.cpu_count(),
            **capability,
        },
        **({"node": json.loads(node)} if (node := os.environ.get(NODE)) else {}),
    }


def machine(gpu: Mapping[str, str]) -> dict[str, Any]:
    """Return what a measurement of this machine depends on: its processor, its cores, Python and the packages.

    `gpu` is `Compute.measured_on`: `gpu`, its name, `cuda`, `cudnn` and `capability`, or nothing.
    """
    return {
        **gpu,
        "processor": processor(),
        "bfloat16": bfloat16_instructions(),
        "cores": cores(),
        "python": platform.python_version(),
        "versions": _versions(),
        "git": _git(),
        "measured": now(),
    }


def processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def bfloat16_instructions() -> list[str]:
    """Return which instructions for bfloat16 products Linux lists: `amx_bf16` and `avx512_bf16`, or none."""
    flags = _cpuinfo("flags").split()
    return [name for name in ("amx_bf16", "avx512_bf16") if name in flags]


def _cpuinfo(key: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    return ""


def now() -> str:
    """Return the time in UTC, ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    return {name: found for name in _PACKAGES if (found := _version(name))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Return the revision of the trainer and whether it has uncommitted changes, None outside a checkout."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        run = subprocess.run(["git", "-C", str(here), *args], capture_output=True, text=True, check=True, timeout=10)
        return run.stdout.strip()

    try:
        return {
            "revision": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def command_line() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
