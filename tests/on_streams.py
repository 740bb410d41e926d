"""`python tests/on_streams.py JSON`: start `trainer` commands anew, each on standard streams of its own, at once.

JSON is a list of [arguments, [stdin, stdout, stderr]]. Each stream is a path, or null for a closed one. The last line
on stdout lists the exit codes.
"""

import json
import os
import sys
from collections.abc import Sequence

from forked import Stream, put_on


def main(commands: Sequence[tuple[list[str], list[Stream]]]) -> None:
    started: list[int] = []
    for arguments, streams in commands:
        if not (child := os.fork()):
            os.setsid()
            put_on(streams)
            os.execv(sys.executable, [sys.executable, "-m", "trainer.cli", *arguments])
        started.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]
    print(json.dumps(codes))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
