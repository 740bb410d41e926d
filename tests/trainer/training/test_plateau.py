"""The loss that a plateau watches: never the test set's, unless the config says so."""

from pathlib import Path

import pytest
from run_ends import rows_of

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.runs.groups import decisive
from trainer.training.run import start_run
from trainer.training.schedules import RateSchedule


@pytest.mark.parametrize(("monitor", "told"), [("auto", "train/loss"), ("test/loss", "test/loss")])
def test_a_plateau_watches_the_test_loss_only_if_it_is_told_to(
    monitor: str, told: str, tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(RateSchedule, "epoch_ended", lambda self, loss: seen.append(loss))
    words = [*small_run, "schedule.name=reduce_on_plateau", f"schedule.monitor={monitor}"]
    start_run(load_config(words).config, runs=tmp_path, name="a")
    rows = [row for row in rows_of(tmp_path / "a") if told in row]
    assert seen == [row[told] for row in rows] and len(seen) == 3


def test_a_plateau_that_watches_the_test_loss_needs_every_epoch_evaluated() -> None:
    words = ["schedule.name=reduce_on_plateau", "schedule.monitor=test/loss", "train.evaluate_every=2"]
    with pytest.raises(ConfigError, match=r"set train\.evaluate_every=1"):
        load_config(words)


def test_what_a_plateau_watches_by_default_changes_no_hash_of_runs_stored_before() -> None:
    config = {"schedule.name": "reduce_on_plateau", "schedule.factor": 0.5}
    assert decisive({**config, "schedule.monitor": "auto"}) == config
    assert decisive({**config, "schedule.monitor": "test/loss"}) != config
