"""No traceback, no 2 GB, no 20 s, from any sweep file, config file or override: see trainer_fuzz.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trainer_fuzz import SECONDS, tried

from trainer.config import load_config
from trainer.config.overrides import read_value
from trainer.errors import ConfigError

MEGABYTES = 2000


def holds(found: dict[str, Any]) -> None:
    assert not found["wrong"], "\n".join(f"case {seed}: {said}\n{shown}" for seed, said, shown in found["wrong"][:5])
    assert found["slowest"] < SECONDS
    assert min(found["ok"], found["refused"]) > 0


def test_spoiled_files_and_overrides_end_well_or_in_one_line_each() -> None:
    holds(tried(0, 25))


@pytest.mark.slow
def test_ten_thousand_of_them_in_two_processes_of_less_than_2_gb() -> None:
    script = Path(__file__).parents[1] / "trainer_fuzz.py"
    commands = [[sys.executable, str(script), str(first), "5000"] for first in (0, 5000)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        found = json.loads(process.communicate()[0])
        print({key: value for key, value in found.items() if key != "wrong"})
        holds(found)
        assert found["megabytes"] < MEGABYTES


@pytest.mark.parametrize("text", ["...", "b'x'", "{1, 2}", "1j", "{1: 2}", "[...]", "(1, {2})"])
def test_a_literal_that_json_does_not_have_is_text(text: str) -> None:
    assert not isinstance(read_value(text), dict | set | bytes | complex) and read_value(text) is not ...


@pytest.mark.parametrize("text", ["1or 2", "'\\d'", "0x1for x"])
def test_a_literal_that_python_warns_of_is_read_without_a_word(text: str) -> None:
    read_value(text)  # a warning is an error in this suite


def test_a_line_about_a_value_is_one_line_and_no_page() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(["optimizer.lr=a\nb" + "c" * 5000])
    (line,) = caught.value.problems or ("",)
    assert "\n" not in line and len(line) < 1000
