"""Pages of docs/ that are made from the code: they match the code, and no key is missing."""

import json
import math
import re
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


def test_two_seeds_values_are_not_written_as_an_interval() -> None:
    """Before: `0.82 (0.74, 0.90)`, and *narrower* in bold below an interval that contains 1."""
    by_hand = (DOCS / "results" / "bn_landscape.md").read_text(encoding="utf-8").partition("<!-- end of")[2]
    assert not re.findall(r"\| \d[\d.]* \(\d[\d.]*, \d[\d.]*\) \|", by_hand)
    assert "0.82 (0.74 and 0.90)" in by_hand and "two seeds cannot tell that from chance" in by_hand


def test_the_batchnorm_page_opens_with_the_answer_of_its_committed_runs() -> None:
    """Two seeds: the mean of two log ratios, and t(1) = 12.706 times their standard error, half their distance."""
    content = json.loads((DOCS / "results" / "bn_landscape.json").read_text(encoding="utf-8"))
    plain, normed = (group["mean_width"]["by_seed"] for group in content["loss"]["groups"])
    one, other = (math.log(normed[seed] / plain[seed]) for seed in "01")
    mean, half = (one + other) / 2, 12.7062047 * abs(one - other) / 2
    low, high = math.exp(mean - half), math.exp(mean + half)
    opening = PAGES["results/bn_landscape.md"]().split("\n", 4)[3]
    assert opening.startswith(
        "**For vgg_a_bn, the mean width of the loss band over learning rates is"
        f" {math.exp(mean):.3g} times that of vgg_a: 95% interval {low:.3g} to {high:.3g}, n = 2 seeds.**"
    )
