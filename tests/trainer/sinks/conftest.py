"""A run as its sinks get to know it."""

from pathlib import Path

import pytest
from standin.sinks import CONFIG

from trainer.protocols import RunInfo


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    return RunInfo("first", folder, CONFIG, "0123abcd", {}, resumed=False, memory={})
