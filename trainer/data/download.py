"""Downloads by torchvision, quiet and impatient."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

STALL = 10.0  # seconds without an answer or a byte before a download fails


@contextmanager
def quiet_and_impatient() -> Iterator[None]:
    """Send torchvision's prints to stderr, and end its wait for a silent server, which would be minutes."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(patience)
