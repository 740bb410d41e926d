"""`python tests/on_streams.py warm|cold JSON`: start `trainer` commands, each on standard streams of its own, at once.

JSON is a list of [arguments, [stdin, stdout, stderr]]. Each stream is a path, or null for a closed one. The last line
on stdout lists the exit codes. A cold command starts Python anew. A warm one is forked from here, where torch is
imported, and ends with Python's own shutdown.
"""

import json
import os
import sys
from collections.abc import Sequence


def main(how: str, commands: Sequence[tuple[list[str], list[str | None]]]) -> None:
    if how == "warm":
        import trainer.cli.main
        import trainer.training.run  # noqa: F401 - loaded once, before the forks
    started: list[int] = []
    for arguments, streams in commands:
        if not (child := os.fork()):
            os.setsid()
            put_on(streams)
            if how == "cold":
                os.execv(sys.executable, [sys.executable, "-m", "trainer.cli", *arguments])
            return run_here(arguments, streams)
        started.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]
    return print(json.dumps(codes))


def put_on(streams: Sequence[str | None]) -> None:
    opened = [path and os.open(path, os.O_RDONLY if i == 0 else os.O_WRONLY) for i, path in enumerate(streams)]
    for handle, of_path in enumerate(opened):
        if of_path is None:
            os.close(handle)
        else:
            os.dup2(int(of_path), handle)
            os.close(int(of_path))


def run_here(arguments: list[str], streams: Sequence[str | None]) -> None:
    for name, path in zip(("stdin", "stdout", "stderr"), streams, strict=True):
        if path is None:
            setattr(sys, name, None)  # as Python does when it starts
    from trainer.cli import main as cli

    sys.argv = ["trainer", *arguments]
    cli.main()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
