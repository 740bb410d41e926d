"""Numbers of a single run, as tables have them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from trainer.report.folders import read_results, runs_of


def measures_of(folder: Path, accuracies: Sequence[float]) -> dict[str, float]:
    rows = [{"epoch": float(n), "step": n, "test/accuracy": value} for n, value in enumerate(accuracies, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,), _ = runs_of(read_results([folder])[0], metric="test/accuracy")
    return dict(run.values)


@pytest.mark.parametrize("first", [0.5003, 0.5, 0.5001, 0.9, 0.8999])
def test_an_epoch_exactly_one_point_below_the_best_has_converged(first: float, tmp_path: Path, write_run) -> None:
    """Before: 51.03 - 1 is more than 50.03 in binary, so 0.5003 converged an epoch later."""
    folder = write_run(tmp_path / "run")
    found = [round(first + step, 4) for step in (0.0, 0.005, 0.01)]
    assert measures_of(folder, found)["convergence_epochs"] == 1
    found[0] = round(first - 0.0001, 4)  # one image of 10,000 less
    assert measures_of(folder, found)["convergence_epochs"] == 2


def test_the_row_of_a_restored_epoch_is_no_test_of_the_last_one(tmp_path: Path, write_run) -> None:
    """Before: `test_acc_at 3` was the accuracy of the restored epoch 2."""
    folder = write_run(tmp_path / "run", accuracy=0.9, epochs=3)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "restored_epoch": 2}))
    rows = [{"epoch": n, "step": n, "test/accuracy": value} for n, value in ((1, 0.5), (3, 0.9))]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,), _ = runs_of(read_results([folder])[0], metric="test/accuracy")
    assert [run.measure(f"test_acc_at {epoch}") for epoch in (1, 2, 3)] == [50, 90, None]
