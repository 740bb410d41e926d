"""What a sweep's children are forked from."""

import subprocess
import sys

from trainer.sweep.warm import MODULES


def test_the_server_has_imported_what_every_run_needs_and_runs_no_thread() -> None:
    """In a process of its own: this one has long imported all of it."""
    look = "import sys, threading, trainer.sweep.warm; print(threading.active_count(), *sys.modules)"
    said = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True).stdout.split()
    assert said[0] == "1"
    assert {"torch", "timm", "wandb", *MODULES} <= set(said)
