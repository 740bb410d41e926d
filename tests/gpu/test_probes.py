"""Probes on the device leave no trace in a run, and measure what they measure on a CPU."""

import math
from pathlib import Path

import pytest
from on_device import DEFAULT, NARROW, config_of
from run_ends import differing, rows_of

from trainer.training.run import start_run

pytestmark = pytest.mark.gpu

PROBES = ["probe.drift.every=1", "probe.walk.every=2", "probe.walk.points=3", "probe.shift.at=[1,3]",
          "probe.noise.every=2", "probe.features.every=1"]  # fmt: skip
DROPOUT = ["model.name=handmade_cnn", "model.channels=[8,8]", "model.dropout=0.3"]
RUNS = {
    "the defaults": DEFAULT,
    "ghost norms, EMA, lookahead": [*NARROW, "train.ema.decay=0.9", "optimizer.lookahead.steps=2"],
    "dropout, Adam, clipped, in parts": [
        *DROPOUT, "optimizer.name=adam", "train.clip_grad_norm=0.1", "train.accumulate=2",
    ],
    "dropout, Muon": [*DROPOUT, "optimizer.name=muon"],
}  # fmt: skip


def four_steps(words: list[str], runs: Path, name: str) -> Path:
    config = config_of([*words, "train.batch_size=64", "train.max_steps=4"])
    return start_run(config, runs=runs, name=name).folder


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS.keys())
def test_a_run_with_every_probe_has_the_bits_of_one_without(
    tmp_path: Path, device_run: list[str], words: list[str]
) -> None:
    probed = four_steps([*device_run, *words, *PROBES], tmp_path, "probed")
    plain = four_steps([*device_run, *words], tmp_path, "plain")
    assert differing(probed, plain, apart_from=("/config/probe", "/probes")) == []
    assert [row for row in rows_of(probed) if "train/loss" in row] == rows_of(plain)


def test_probes_measure_in_float32_what_they_measure_on_a_cpu(
    tmp_path: Path, few_images: list[str], device: str
) -> None:
    """The CPU's images have their channels first, so that its sums are others on a CPU, too."""
    words = [*few_images, *NARROW, *PROBES, "train.precision=float32", "schedule.name=constant", "optimizer.lr=1e-3"]
    here, there = (
        rows_of(four_steps([*words, *more], tmp_path, name))
        for name, more in {
            "here": [f"train.device={device}"],
            "there": ["train.device=cpu", "train.channels_last=false"],
        }.items()
    )
    assert [row.keys() for row in here] == [row.keys() for row in there]
    measured = [
        (key, found[key], expected[key])
        for found, expected in zip(here, there, strict=True)
        for key in found
        if key.startswith(("probe/", "runs/"))
    ]
    assert {"probe/beta", "probe/lipschitz", "runs/beta", "runs/grad_distance"} <= {key for key, *_ in measured}
    apart = [each for each in measured if not math.isclose(*each[1:], rel_tol=1e-3, abs_tol=1e-4)]
    assert not apart
