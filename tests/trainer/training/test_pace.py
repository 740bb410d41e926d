"""What the predicted time of a run is made of."""

from typing import Any

import pytest

from trainer.config import load_config
from trainer.training.pace import measure_pace


def test_the_evaluation_that_is_timed_has_the_views_of_the_run(
    small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: of all images, even if `tta_share` was below 1."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("trainer.training.pace.evaluate", lambda *_, **knobs: asked.append(knobs))
    measure_pace(load_config([*small_run, "train.tta=hflip", "train.tta_share=0.25"]).config)
    assert {(knobs["tta"], knobs["tta_share"]) for knobs in asked} == {("hflip", 0.25)}
