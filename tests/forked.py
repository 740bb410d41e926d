"""The command `trainer` as a process of its own, forked where torch is imported: a start from nothing takes seconds."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.context import SpawnProcess as Spawned

from pretend import server

from trainer.sweep.child import CONTEXT

Stream = str | None
"""A path, or None for a closed stream."""


def start(arguments: Sequence[str], streams: Sequence[Stream]) -> ForkServerProcess | Spawned:
    """Start `trainer ARGUMENTS` in a session of its own, with (stdin, stdout, stderr). Its end is Python's own."""
    server.ready()
    process = CONTEXT.Process(target=_as_typed, args=(list(arguments), list(streams), dict(os.environ)))
    process.start()
    return process


def _as_typed(arguments: list[str], streams: list[Stream], env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.setsid()
    put_on(streams)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores both
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name, path in zip(("stdin", "stdout", "stderr"), streams, strict=True):
        if path is None:
            setattr(sys, name, None)  # as Python does when it starts
    from trainer.cli import main as cli

    sys.argv = ["trainer", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        ctypes.pythonapi.Py_Exit(code)  # a child of a fork would leave without it


def put_on(streams: Sequence[Stream]) -> None:
    """Make these the standard streams of this process."""
    opened = [path and os.open(path, os.O_RDONLY if i == 0 else os.O_WRONLY) for i, path in enumerate(streams)]
    for handle, of_path in enumerate(opened):
        if of_path is None:
            os.close(handle)
        else:
            os.dup2(int(of_path), handle)
            os.close(int(of_path))
