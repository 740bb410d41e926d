"""Plain English, as far as it can be counted."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_A_START = {"What", "How", "Of", "By", "From", "Where", "Whether", "As"}
OF_ARCHIVES = [ROOT / "docs/results/claims.md", *(ROOT / "docs/results/runs").glob("*.md")]  # they quote the reports
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").rglob("*.md")} - {*OF_ARCHIVES})]
SOURCES = [path for room in ("trainer", "models") for path in sorted((ROOT / room).rglob("*.py"))]


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every string that stands alone, those under attributes and fields included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in SOURCES
        for line, text in docstrings(path)
        if text and re.split(r"\W", text, maxsplit=1)[0] in NOT_A_START
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_not_strung_together(page: Path) -> None:
    """At most 3 semicolons in 1,000 words of prose; a short page may have one."""
    text = re.sub(
        r"```.*?```|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)|&\w+;", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    words = len(re.findall(r"\b[\w'-]+\b", text))
    assert text.count(";") <= max(1, 3 * words / 1000), f"{text.count(';')} semicolons in {words} words"
