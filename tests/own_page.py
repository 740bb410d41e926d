"""docs/own.md as a reader uses it: the files that it says to save, and its commands."""

import re
import shlex
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "own.md").read_text(encoding="utf-8")


def save_files(folder: Path) -> set[str]:
    """Write the files that the page says to save. Return their names."""
    named = re.findall(r"`(\w+\.(?:py|yaml))`[^`]*?\n\n```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL)
    for name, text in named:
        (folder / name).write_text(text, encoding="utf-8")
    return {name for name, _ in named}


def commands(*first: str) -> list[list[str]]:
    """Return the words of the page's commands that begin like this, each without `trainer`."""
    lines = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    found = [shlex.split(line)[1:] for line in lines]
    return [words for words in found if tuple(words[: len(first)]) == first]
