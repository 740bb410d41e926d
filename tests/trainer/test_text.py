"""Texts that any file can hold, whatever bytes a file name has; times in words."""

import json
import os

import pytest

from trainer.text import duration_text, json_text, writable

NAMES = {
    b"caf\xe9": "caf\\xe9",
    "caf\u00e9".encode(): "caf\u00e9",
    b'a "b" \\c': 'a "b" \\c',
    b"\xff\xfe": "\\xff\\xfe",
}


@pytest.mark.parametrize(("name", "text"), NAMES.items())
def test_json_has_a_name_as_a_text_has_it(name: bytes, text: str) -> None:
    assert writable(os.fsdecode(name)) == text
    content = json_text({os.fsdecode(name): [os.fsdecode(name), 1.5, None]}, indent=1)
    assert json.loads(content.encode()) == {text: [text, 1.5, None]}
    assert writable(content) == content


def test_a_text_that_json_cannot_be_made_of_is_written_out() -> None:
    """A JSON file may have half of a pair of UTF-16, which no UTF-8 has."""
    half = json.loads(r'"\ud83d"')
    assert writable(half) == "\\ud83d"
    assert json.loads(json_text([half])) == ["\\ud83d"]


def test_times_are_said_in_two_digits() -> None:
    assert [duration_text(seconds) for seconds in (45.3, 754, 12345)] == ["45 s", "13 min", "3.4 h"]
