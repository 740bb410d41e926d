"""The page docs/results/speed.md, from the measurements of `trainer bench ... --json` in docs/results/speed/."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.bench.rounds import grid, origin

SPEED = Path(__file__).parent / "results" / "speed"

_HEAD = """# Speed

Each table is one run of `trainer bench`. Its sides take turns, so that a slow minute of the machine falls on all of
them. A cell is the median over the rounds, with minimum and maximum. `make docs` writes this page from the files in
`docs/results/speed/`, which hold what `trainer bench NAME --json` prints.
"""

_BENCHES = {  # in the order of the page: what is measured
    "peers": "The training loops of other repositories beside ours, each in its own process, on noise. *ours* has"
    " random crops, flips, sums and the choice of precision as in `trainer train`. A turn is an epoch.",
    "epoch": "Whole epochs of a run, with evaluation, rows and a checkpoint each, beside bare steps between the epochs."
    " *training* is data and steps alone.",
    "step": "Bare steps on a fixed batch of noise. GFLOP/s counts 6 operations for each multiply-add of the forward"
    " pass. *% of product* compares that with a product of two 2048x2048 matrices beside it. The last columns are"
    " shares of a step's time, measured operation by operation, once.",
    "data": "The data pipeline beside torchvision's transforms on PIL images (v1) and on tensors (v2), which run in a"
    " DataLoader. *full* adds colour jitter and erasing. The ratio is to the faster of the two.",
    "start": "User and system time of whole commands.",
    "sweep": "Points of `trainer sweep run` one after the other and at once, on one device, starts included.",
    "devices": "One run on several devices, by `trainer train`. *strong* has the batch of one device, *weak* N times"
    " that. Efficiency is the gain by the number of devices.",
}
_WANTED = (  # of a CPU with AMX: (bench, row, column, at least, in words)
    ("peers", "ours resnet18", "ours / theirs, ratio", 3.5, "ResNet18, batch 128, to pytorch-cifar's loop"),
    ("epoch", "whole epoch", "to bare step, ratio", 0.95, "a whole epoch to the bare step"),
    ("data", "crop_flip", "ratio", 60, "crop and flip to torchvision"),
    ("data", "full", "ratio", 25, "crop, flip, jitter and erasing to torchvision"),
)


def speed_page(folder: Path = SPEED) -> str:
    """Return the text of docs/results/speed.md. A bench without a file is left out."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    measured = {name: found[name] for name in _BENCHES if name in found}
    lines = [_HEAD, *_wanted(measured)]
    for name, content in measured.items():
        lines += ["", f"## `trainer bench {name}`", "", _BENCHES[name], "", *_table(list(grid(content)))]
        lines += ["", f"{origin(content)}."]
    return "\n".join([*lines, ""])


def _wanted(measured: dict[str, Any]) -> Iterator[str]:
    rows = [
        [words, f"{least:g}", f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})",
         "yes" if spread["median"] >= least else "**no**"]
        for bench, row, column, least, words in _WANTED
        if (spread := measured.get(bench, {}).get("measured", {}).get(row, {}).get(column))
    ]  # fmt: skip
    if rows:
        yield from _table([["ratio", "wanted", "measured", "reached"], *rows])


def _table(rows: list[list[str]]) -> Iterator[str]:
    header, *others = rows
    yield f"| {' | '.join(header)} |"
    yield f"|---|{'---:|' * (len(header) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in others)
