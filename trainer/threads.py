"""The cores of this process, and what libraries read from its environment: how threads wait, how sums repeat.

PyTorch's own OpenMP (libgomp) lets a thread that waits spin for milliseconds. That costs nothing on an idle machine. On
a busy one, the thread burns the time of the one that it waits for. docs/lab-notes.md has what that costs.
"""

import os
from collections.abc import Mapping

_CHOSEN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_SPINS = "4000"  # some tens of microseconds; libgomp's own choice is 300,000


def let_waiting_threads_sleep() -> None:
    """Ask for short spins in this process and those it starts, unless the environment says how threads wait.

    It has an effect only before torch is imported.
    """
    if not any(name in os.environ for name in _CHOSEN):
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def let_cublas_repeat() -> None:
    """Give cuBLAS a workspace of its own, without which its sums may differ. It reads this before its first product."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def environment_as_found() -> Mapping[str, str]:
    """Return the environment without what `let_waiting_threads_sleep` has put into it: for a program of others."""
    ours = os.environ.get("GOMP_SPINCOUNT") == _SPINS
    return {name: value for name, value in os.environ.items() if not (ours and name == "GOMP_SPINCOUNT")}


def threads_asked(env: Mapping[str, str] = os.environ) -> int:
    """Return OMP_NUM_THREADS of an environment, of which the first number counts, or 0 if it says none."""
    first = env.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
