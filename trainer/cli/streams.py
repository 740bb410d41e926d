"""Standard streams that may be lost: a closed terminal, a reader that has ended, a full disk.

A lost console ends no command. `trainer.cli.main` sees to that first. `python -m trainer.cli.streams MODULE ARGUMENTS`
does it for another program, such as W&B's agent.
"""

import errno
import io
import os
import runpy
import select
import signal
import stat
import sys
from typing import TYPE_CHECKING

from trainer.errors import DiskError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_HANDLES = {"stdout": 1, "stderr": 2}


def outlive_the_console() -> None:
    """Keep this process alive, and those it starts, when their console goes. What cannot be printed is dropped."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of a closed terminal; as under nohup
    for handle in range(3):
        _open_if_closed(handle)
    if sys.stdin is None:  # it was closed when Python started
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - open for as long as the process
    for name in _HANDLES:
        stream = getattr(sys, name)
        if stream is None or stream is getattr(sys, f"__{name}__"):  # else a test or a library has put it there
            setattr(sys, name, _writer(name, stream))


def check_output() -> None:
    """Raise DiskError if stdout has not taken everything, except that a reader may have had enough."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Lossy) and raw.why_lost:
        raise DiskError(f"stdout: cannot be written: {raw.why_lost}")


class _Lossy(io.FileIO):
    """The lowest part of a stream, so that nothing above it, such as rich or logging, meets an error."""

    why_lost: str | None = None

    def write(self, data: "Buffer", /) -> int:
        try:
            while (written := super().write(data)) is None:  # another program has set the terminal to not block
                select.select([], [self], [])
            return written
        except OSError as error:
            if not self._has_no_reader(error):
                self.why_lost = error.strerror or str(error)
        return memoryview(data).nbytes

    def _has_no_reader(self, error: OSError) -> bool:
        """Return whether the reader has ended, as `head` does, or the terminal was closed."""
        of_terminal = error.errno == errno.EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
        return isinstance(error, BrokenPipeError) or of_terminal


def _writer(name: str, like: io.TextIOWrapper | None = None) -> io.TextIOWrapper:
    """Return a stream over the handle of `name`. It writes out a character that it cannot show: a name is no error."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Lossy(_HANDLES[name], "w", closefd=False)),
        encoding=like.encoding if like else "utf-8",
        errors="backslashreplace",
        line_buffering=name == "stderr" or (like is not None and (like.line_buffering or like.write_through)),
        write_through=like is not None and like.write_through,
    )


def _open_if_closed(handle: int) -> None:
    """Open the null device there. Otherwise the next file gets this number, and C libraries print into it."""
    try:
        os.fstat(handle)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        os.set_inheritable(null, True)


if __name__ == "__main__":
    outlive_the_console()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
