"""Pages of docs/ that are made from the code: they match the code, and no key is missing."""

from pathlib import Path

import pytest
from make_pages import DOCS, PAGES, TABLES


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_a_generated_table_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == TABLES[path](), "run `make docs`"


def test_every_key_has_a_type_and_a_meaning() -> None:
    rows = [line for line in PAGES["choices.md"]().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    for row in rows:
        key, kind, default, meaning = (cell.strip() for cell in row.replace("\\|", "/").strip("|").split("|"))
        assert key and default and meaning, row
        assert "class" not in kind and "typing" not in kind, row


def test_a_choice_lists_its_own_keys_apart_from_the_shared_ones() -> None:
    page = PAGES["choices.md"]()
    sgd = page.partition("**`optimizer.name=sgd`**")[2].partition("**`optimizer.name=adam`**")[0]
    assert "`optimizer.nesterov`" in sgd
    assert "`optimizer.decay_norm_and_bias`" not in sgd  # shared by all optimizers
    assert "| `optimizer.lr` | number > 0 <= 1e+10 | `0.1` | Peak learning rate. The schedule multiplies it. |" in sgd
