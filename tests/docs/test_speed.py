"""docs/results/speed.md from measurements: what was wanted, and a table for each."""

import json
from pathlib import Path

from make_speed import speed_page

from trainer.bench.rounds import result, spread


def test_the_page_says_what_was_wanted_and_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    rows = {
        "crop_flip": {"ours images/s": spread([50_000.0]), "ratio": spread([61.0, 59.0, 70.0])},
        "full": {"ours images/s": spread([9000.0]), "ratio": spread([24.0])},
    }
    (tmp_path / "data.json").write_text(json.dumps(result("data", rows, rounds=3)))
    page = speed_page(tmp_path)
    assert "| crop and flip to torchvision | 60 | 61.00 (59.00 to 70.00) | yes |" in page
    assert "| crop, flip, jitter and erasing to torchvision | 25 | 24.00 (24.00 to 24.00) | **no** |" in page
    assert "| crop_flip | 50,000 | 61.0 (59.0 to 70.0) |" in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## `trainer bench data`"]
    assert "3 rounds (" in page
