"""The page docs/results/speed.md, from the measurements of `trainer bench ... --json` in docs/results/speed/."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.bench.rounds import grid, origin
from trainer.text import NONE

SPEED = Path(__file__).parent / "results" / "speed"

_HEAD = """# Speed

Each table is one run of `trainer bench`. Its sides take turns, so that a slow minute of the machine falls on all of
them. A cell is the median over the rounds, with minimum and maximum. `make docs` writes this page from the files in
`docs/results/speed/`, which hold what `trainer bench NAME --json` prints. Those of another machine are called
`NAME-MACHINE.json`.
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
_PEER = ("peers", "ours resnet18", "ours / theirs, ratio")
_PEER_WORDS = "ResNet18, batch 128, to pytorch-cifar's loop"
_SECONDS = "processor time, s"
_WANTED = (  # (bench, row, column, at least, or at most for seconds, in words, of which kind of machine)
    (*_PEER, 3.5, _PEER_WORDS, "AMX"),
    (*_PEER, 2.4, _PEER_WORDS, "AVX512-BF16"),
    (*_PEER, 1.2, _PEER_WORDS, "no bfloat16"),
    ("epoch", "whole epoch", "to bare step, ratio", 0.95, "a whole epoch to the bare step", "CPU"),
    ("data", "crop_flip", "ratio", 60, "crop and flip to torchvision", "CPU"),
    ("data", "full", "ratio", 25, "crop, flip, jitter and erasing to torchvision", "CPU"),
    ("start", "models", _SECONDS, 2, "`trainer models`, seconds of processor time", "CPU"),
    ("start", "first step lenet5", _SECONDS, 6, "the first step of LeNet-5, seconds of processor time", "CPU"),
)
_SEEN = tuple(dict.fromkeys((bench, row, column, None, words, "GPU") for bench, row, column, _, words, _ in _WANTED))
"""The same on a GPU, of which nothing was wanted."""


def speed_page(folder: Path = SPEED) -> str:
    """Return the text of docs/results/speed.md. A bench without a file is left out."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    lines = [_HEAD, *_wanted(found)]
    for name, what in _BENCHES.items():
        own = [content for content in found if content["bench"] == name]
        lines += ["", f"## `trainer bench {name}`", "", what] if own else []
        for content in own:
            lines += ["", *_table(list(grid(content))), "", f"{origin(content)}."]
    return "\n".join([*lines, ""])


def _wanted(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = [
        [words, kinds[-1], content["machine"]["processor"], content["machine"]["measured"][:10],
         NONE if bound is None else f"at most {bound:g}" if column == _SECONDS else f"{bound:g}",
         f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})",
         NONE if bound is None else "yes" if _reached(spread["median"], bound, column) else "**no**"]
        for bench, row, column, bound, words, only in (*_WANTED, *_SEEN)
        for content in found
        if content["bench"] == bench and only in (kinds := _kinds(content))
        if (spread := content["measured"].get(row, {}).get(column))
    ]  # fmt: skip
    if rows:
        yield from _table([["what", "GPU, or CPU with", "processor", "date", "wanted", "measured", "reached"], *rows])
        yield from ("", "A row is of the code of its day, whose revision is in the file.")


def _reached(median: float, bound: float, column: str) -> bool:
    return median <= bound if column == _SECONDS else median >= bound


def _kinds(content: dict[str, Any]) -> tuple[str, str]:
    """Return whether a measurement is of a CPU or a GPU, and of which kind of CPU with its own goal or which GPU."""
    units = content["machine"].get("bfloat16", [])
    if gpu := content["machine"].get("gpu"):
        return "GPU", gpu
    return "CPU", "AMX" if "amx_bf16" in units else "AVX512-BF16" if "avx512_bf16" in units else "no bfloat16"


def _table(rows: list[list[str]]) -> Iterator[str]:
    header, *others = rows
    yield f"| {' | '.join(header)} |"
    yield f"|---|{'---:|' * (len(header) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in others)
