"""Somebody else's code: nothing that it prints reaches stdout, and whatever it raises becomes a line."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from trainer.errors import first_line


@contextmanager
def says_nothing() -> Iterator[None]:
    """Send what is printed inside to stderr: stdout has results only."""
    with redirect_stdout(sys.stderr):
        yield


def raised(error: BaseException, file: str = "") -> str:
    """Return an error in a line, with its place in `file` if it has one there: `line 3: ValueError: no width`."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    place = f"line {lines[-1]}: " if lines else ""
    name, said = type(error).__name__, first_line(error)
    return f"{place}{name}" + (f": {said}" if said != name else "")
