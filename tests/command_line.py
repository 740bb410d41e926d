"""The command `trainer` in the process of the tests."""

import sys

import pytest

from trainer.cli.main import main


def run_here(arguments: list[str]) -> int:
    """Return the exit code of `trainer ARGUMENTS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trainer", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)
