"""Seconds that a run is charged by the protocol of docs/records.md."""

from collections.abc import Mapping
from typing import Any

from trainer.runs.history import is_finite


def charged_seconds(summary: Mapping[str, Any], *, evaluation: bool = False) -> float | None:
    """Return the seconds of preparation and training, and of evaluation if that is charged, from a run's summary.

    Building and compiling are free. None without a training time. Runs older than `time/build_seconds` have building
    within their preparation.
    """
    trained = summary.get("time/train_seconds")
    if not is_finite(trained):
        return None
    others = ("time/prepare_seconds", *(("time/evaluate_seconds",) if evaluation else ()))
    return trained + sum(value for key in others if is_finite(value := summary.get(key)))
