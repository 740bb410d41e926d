"""Charged seconds: preparation and training, and evaluation if asked for."""

from trainer.runs.charged import charged_seconds

SUMMARY = {
    "time/build_seconds": 100.0,
    "time/compile_seconds": 1000.0,
    "time/prepare_seconds": 1.0,
    "time/train_seconds": 20.0,
    "time/evaluate_seconds": 0.5,
}


def test_building_and_compiling_are_free() -> None:
    assert charged_seconds(SUMMARY) == 21
    assert charged_seconds(SUMMARY, evaluation=True) == 21.5
    assert charged_seconds({"time/train_seconds": 20.0, "time/prepare_seconds": None}) == 20
    assert charged_seconds({"time/prepare_seconds": 1.0, "time/train_seconds": None}) is None
