"""The server from which the tests' processes fork a sweep's children: one for each process of the tests."""

import os
from pathlib import Path
from unittest.mock import patch

from trainer.sweep import child

_IMPORTED = ("unsynced", "trainer.training.run", "trainer.cli.main", "pretend.controller", "pretend.few_shapes")
_TESTS = str(Path(__file__).parents[1])


def path() -> str:
    """Return a PYTHONPATH by which another process finds this package."""
    return os.pathsep.join(filter(None, [_TESTS, os.environ.get("PYTHONPATH")]))


def ready() -> None:
    """Start it, whichever test comes first: with torch for runs that train, and Optuna for controllers."""
    with patch.dict(os.environ, PYTHONPATH=path()):
        child.warm_up(_IMPORTED)  # Python 3.11's server finds modules by its environment alone
