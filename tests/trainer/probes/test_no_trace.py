"""Probes do not change a run by a bit, and an interrupted run writes the same rows."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from run_ends import assert_same_end, broken_at, differing, rows_of

from trainer.config import load_config
from trainer.probes.features import FeaturesProbe
from trainer.probes.shift import ShiftProbe
from trainer.probes.walk import WalkProbe
from trainer.protocols import View
from trainer.training import counters
from trainer.training.run import resume_run, start_run

PROBES = [
    "probe.drift.every=1", "probe.walk.every=2", "probe.walk.points=2", "probe.shift.at=[1,4]",
    "probe.shift.layers=[2,3]", "probe.features.log_spaced=3", "probe.noise.every=2", "probe.noise.parts=2",
]  # fmt: skip
DROPOUT = ["model.name=handmade_cnn", "model.channels=[4,4]", "model.dropout=0.3"]
GHOST = ["model.name=fastresnet9", "model.width=2", "model.ghost_size=4"]
RUNS = {
    "SGD with momentum, ghost norm, EMA": [*GHOST, "train.ema.decay=0.9"],
    "nesterov": [*DROPOUT, "optimizer.name=sgd", "optimizer.nesterov=true"],
    "Adam, clipped": [*DROPOUT, "optimizer.name=adam", "train.clip_grad_norm=0.1"],
    "Lookahead": [*DROPOUT, "optimizer.name=sgd", "optimizer.lookahead.steps=2"],
    "Muon": [*DROPOUT, "optimizer.name=muon"],
    "Muon with AdamW and Lookahead": [
        *DROPOUT, "optimizer.name=muon", "optimizer.rest=adamw", "optimizer.lookahead.steps=3",
    ],
    "in parts, penalties": [*GHOST, "train.accumulate=2", "loss.l2=0.01"],
    "bfloat16": [*DROPOUT, "train.precision=bfloat16"],
}  # fmt: skip


@pytest.fixture
def base(image_folder: Path) -> list[str]:
    """Return the overrides of two epochs of three steps."""
    return [
        "data.name=folder", f"data.root={image_folder}", "data.image_size=8", "train.epochs=2", "train.batch_size=16",
        "train.device=cpu", "train.precision=float32", "augment.crop.padding=1", "sink.wandb.mode=disabled",
    ]  # fmt: skip


def train(overrides: list[str], runs: Path, name: str) -> Path:
    return start_run(load_config(overrides).config, runs=runs, name=name).folder


@pytest.mark.parametrize("overrides", RUNS.values(), ids=RUNS.keys())
def test_a_run_with_every_probe_is_bit_identical_to_one_without(
    tmp_path: Path, base: list[str], overrides: list[str]
) -> None:
    with_probes = train([*base, *overrides, *PROBES], tmp_path, "with")
    without = train([*base, *overrides], tmp_path, "without")
    assert differing(with_probes, without, apart_from=("/config/probe", "/probes")) == []
    of_training = [row for row in rows_of(with_probes) if "train/loss" in row]
    assert of_training == rows_of(without)
    measured = set().union(*rows_of(with_probes))
    assert {"runs/beta", "probe/beta"} <= measured
    assert any(key.startswith("probe/shift_l2/") for key in measured)
    assert any(key.startswith("probe/feature_shift/") for key in measured)


@pytest.mark.parametrize(("how", "step"), [("killed", 5), ("terminated", 2)])
def test_an_interrupted_run_writes_the_rows_of_an_uninterrupted_one(
    tmp_path: Path, base: list[str], how: Literal["killed", "terminated"], step: int
) -> None:
    overrides = [*base, *GHOST, *PROBES, "schedule.name=constant"]
    unbroken = train(overrides, tmp_path, "unbroken")
    with broken_at(step, how):
        train(overrides, tmp_path, "broken")
    assert_same_end(resume_run(tmp_path / "broken").folder, unbroken)


def test_the_time_of_a_rare_probe_is_not_training_time(
    tmp_path: Path, base: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(counters, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def take_an_hour(probe: object, view: View) -> dict[str, float]:
        now[0] += 3600
        return {"probe/beta": 1.0}

    for probe in (WalkProbe, ShiftProbe, FeaturesProbe):
        monkeypatch.setattr(probe, "measure", take_an_hour)
    folder = train([*base, *GHOST, *PROBES], tmp_path, "a")
    assert now[0] > 3 * 3600
    assert json.loads((folder / "summary.json").read_text())["time/train_seconds"] == 0
