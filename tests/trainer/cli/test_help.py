"""Every command has examples at the foot of its help, and the flags that they type are there."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from trainer.cli.main import app


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from commands(inner, f"{name} {word}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))
EXAMPLES = [
    (name, line.strip())
    for name, command in COMMANDS.items()
    for line in (command.epilog or "").splitlines()
    if line.startswith("  trainer ")
]


def test_every_command_has_examples() -> None:
    assert set(COMMANDS) == {name for name, _ in EXAMPLES} and len(COMMANDS) > 25


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_types_its_command_with_flags_that_it_has(name: str, line: str) -> None:
    words = shlex.split(line)[1:]
    assert words[: len(name.split())] == name.split()
    parser = COMMANDS[name].make_parser(typer.Context(COMMANDS[name]))
    _, rest, _ = parser.parse_args(words[len(name.split()) :])  # an unknown flag is an error here
    assert not rest
