"""The drawn rate curve: its points, its overrides."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainer.config import load_config
from trainer.config.run import RunConfig
from trainer.data.steps import Steps
from trainer.training.schedule_chart import draw_schedule, schedule_chart, schedule_rows


def config_of(*overrides: str) -> RunConfig:
    return load_config(["optimizer.lr=0.4", "train.epochs=10", *overrides], recipe="none").config


def drawn(spec: dict[str, Any]) -> dict[float, float]:
    return {point["epoch"]: point["rate"] for point in spec["data"]["values"]}


def test_a_short_run_is_drawn_whole_and_to_its_end() -> None:
    points = drawn(schedule_chart(config_of("schedule.name=linear"), steps=Steps(4, 1)))
    expected = {step / 4: 0.4 * (1 - step / 40) for step in range(40)}
    assert points == pytest.approx(expected | {10: expected[39 / 4]})


@pytest.mark.parametrize("name", ["cosine_restarts", "cyclic"])
def test_a_long_run_keeps_its_peaks_and_ends_in_few_points(name: str) -> None:
    config = config_of(f"schedule.name={name}", "train.epochs=200")
    points = drawn(schedule_chart(config, steps=Steps(390, 1)))
    peaks = [rate for rate in points.values() if rate == 0.4]
    assert len(peaks) == 40 and len(points) < 6000 and (min(points), max(points)) == (0, 200)


@pytest.mark.parametrize(("interval", "corners"), [("epoch", 2), ("step", 1)])
def test_a_rate_that_moves_by_epochs_is_drawn_in_stairs(interval: str, corners: int) -> None:
    rows = schedule_rows(config_of("schedule.name=cosine", f"schedule.interval={interval}"), steps=Steps(4, 1))
    assert [row["epoch"] for row in rows].count(1) == corners  # an end and a start
    at = [row["rate"] for row in rows if row["epoch"] == 1]
    before, after = (next(row["rate"] for row in rows if row["epoch"] == epoch) for epoch in (0.75, 1.25))
    assert interval == "step" or at == [before, after]


def test_a_plateau_is_drawn_with_the_earliest_cuts_and_says_so() -> None:
    config = config_of("schedule.name=reduce_on_plateau", "schedule.patience=1", "schedule.cooldown=2")
    spec = schedule_chart(config, steps=Steps(1, 1))
    expected = [0.4] * 3 + [0.2] * 4 + [0.1] * 4  # a best epoch, two bad ones; then two that cool and two bad ones
    assert list(drawn(spec).values()) == pytest.approx(expected)
    assert "never improves" in spec["title"]["subtitle"][-1]


def test_the_title_has_the_name_and_the_knobs_as_they_are_typed() -> None:
    overrides = ["schedule.name=piecewise", "schedule.epochs=[0,2.5,10]", "schedule.factors=[0,1,0.05]"]
    title = schedule_chart(config_of(*overrides), steps=Steps(4, 1))["title"]
    assert title["text"] == "piecewise, 10 epochs"
    assert title["subtitle"] == ["epochs=[0,2.5,10] factors=[0,1,0.05] interval=step warmup_epochs=0"]


def test_it_is_written_as_an_svg_with_its_title_and_as_a_png(tmp_path: Path) -> None:
    for suffix in ("svg", "png"):
        draw_schedule(config_of("schedule.name=one_cycle"), tmp_path / f"rate.{suffix}", steps=Steps(4, 1))
    text = (tmp_path / "rate.svg").read_text(encoding="utf-8")
    assert all(overrides in text for overrides in ("one_cycle, 10 epochs", "pct_start=0.3", "learning rate", "epoch"))
    with Image.open(tmp_path / "rate.png") as image:
        assert image.format == "PNG" and image.width > 1440 and image.height > 640
