"""Sessions of processes that are started for others."""

import subprocess
import sys
from pathlib import Path

import pytest

OF_SESSION = Path("/proc/self/autogroup")


@pytest.mark.skipif(not OF_SESSION.exists(), reason="only Linux shares a processor among sessions")
@pytest.mark.parametrize("niceness", [0, 7])
def test_a_session_is_as_nice_as_the_process_that_begins_it(niceness: int) -> None:
    """Before, it was not nice at all, and `nice trainer sweep run` took half of two busy cores."""
    look = f"import os; from trainer.signals import begin_session; os.nice({niceness}); begin_session()"
    look += f"; print(open({str(OF_SESSION)!r}).read(), os.getsid(0) == os.getpid())"
    began = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    nice_of_session, own = began.stdout.split()[-2:]
    assert (int(nice_of_session), own) == (niceness, "True")
