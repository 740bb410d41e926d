"""docs/results/speed.md from measurements: what was wanted, and a table for each."""

import json
from pathlib import Path
from typing import Any

from make_speed import speed_page

from trainer.bench.rounds import result, spread

ON = "Xeon | 2026-11-30"


def measured(bench: str, rows: dict[str, Any], *bfloat16: str, gpu: dict[str, str] | None = None) -> str:
    """JSON of a measurement on a machine with these units for bfloat16."""
    content = result(bench, rows, rounds=3, gpu=gpu or {})
    machine = {**content["machine"], "bfloat16": list(bfloat16), "processor": "Xeon", "measured": "2026-11-30T16:36"}
    return json.dumps({**content, "machine": machine})


def test_the_page_says_what_was_wanted_and_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    rows = {
        "crop_flip": {"ours images/s": spread([50_000.0]), "ratio": spread([61.0, 59.0, 70.0])},
        "full": {"ours images/s": spread([9000.0]), "ratio": spread([24.0])},
    }
    (tmp_path / "data.json").write_text(measured("data", rows, "avx512_bf16"))
    page = speed_page(tmp_path)
    assert f"| crop and flip to torchvision | AVX512-BF16 | {ON} | 60 | 61.00 (59.00 to 70.00) | yes |" in page
    row = (
        f"| crop, flip, jitter and erasing to torchvision | AVX512-BF16 | {ON} | 25 | 24.00 (24.00 to 24.00) | **no** |"
    )
    assert row in page
    assert "| crop_flip | 50,000 | 61.0 (59.0 to 70.0) |" in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## `trainer bench data`"]
    assert "3 rounds (" in page


def test_each_kind_of_machine_has_its_own_goal(tmp_path: Path) -> None:
    for name, ratio, units in [("peers", 3.0, ["amx_bf16", "avx512_bf16"]), ("peers-avx2", 1.3, [])]:
        rows = {"ours resnet18": {"ours / theirs, ratio": spread([ratio])}}
        (tmp_path / f"{name}.json").write_text(measured("peers", rows, *units))
    page = speed_page(tmp_path)
    words = "ResNet18, batch 128, to pytorch-cifar's loop"
    assert f"| {words} | AMX | {ON} | 3.5 | 3.00 (3.00 to 3.00) | **no** |" in page
    assert f"| {words} | no bfloat16 | {ON} | 1.2 | 1.30 (1.30 to 1.30) | yes |" in page
    assert page.count("## `trainer bench peers`") == 1 and page.count(f"| {words} |") == 2


def test_seconds_are_wanted_at_most(tmp_path: Path) -> None:
    for name, seconds in [("start", 7.0), ("start-quick", 5.0)]:
        rows = {"first step lenet5": {"processor time, s": spread([seconds])}}
        (tmp_path / f"{name}.json").write_text(measured("start", rows))
    page = speed_page(tmp_path)
    words = "the first step of LeNet-5, seconds of processor time"
    assert f"| {words} | no bfloat16 | {ON} | at most 6 | 7.00 (7.00 to 7.00) | **no** |" in page
    assert f"| {words} | no bfloat16 | {ON} | at most 6 | 5.00 (5.00 to 5.00) | yes |" in page


def test_a_gpu_has_rows_of_its_own_and_no_goal_of_a_processor(tmp_path: Path) -> None:
    """Before: its ratios stood in the row of the processor beside it."""
    gpu = {"gpu": "NVIDIA H200", "cuda": "13.0", "cudnn": "91000", "capability": "9.0"}
    peers = {"ours resnet18": {"ours / theirs, ratio": spread([9.0])}}
    epoch = {"whole epoch": {"to bare step, ratio": spread([0.9])}}
    (tmp_path / "peers-h200.json").write_text(measured("peers", peers, "amx_bf16", gpu=gpu))
    (tmp_path / "epoch-h200.json").write_text(measured("epoch", epoch, "amx_bf16", gpu=gpu))
    (tmp_path / "epoch.json").write_text(measured("epoch", epoch, "amx_bf16"))
    rows = [line for line in speed_page(tmp_path).splitlines() if line.startswith(("| ResNet18,", "| a whole"))]
    assert rows == [
        f"| a whole epoch to the bare step | AMX | {ON} | 0.95 | 0.90 (0.90 to 0.90) | **no** |",
        f"| ResNet18, batch 128, to pytorch-cifar's loop | NVIDIA H200 | {ON} | - | 9.00 (9.00 to 9.00) | - |",
        f"| a whole epoch to the bare step | NVIDIA H200 | {ON} | - | 0.90 (0.90 to 0.90) | - |",
    ]
