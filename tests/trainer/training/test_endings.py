"""How runs end before their last epoch, what they are judged by, and what is averaged: seen from the run folder."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from run_ends import broken_at
from torch import nn

from trainer.config import load_config
from trainer.config.doubts import doubts
from trainer.config.train import EarlyStop
from trainer.errors import ConfigError
from trainer.runs.checkpoint import load_checkpoint
from trainer.training.averages import Swa
from trainer.training.counters import Counters
from trainer.training.early_stop import Monitor
from trainer.training.evaluate import Evaluation, evaluate
from trainer.training.loop import Loop, all_finite
from trainer.training.run import RunResult, resume_run, start_run
from trainer.training.trained import load_trained


@pytest.fixture
def run(tmp_path: Path, small_run: list[str]):
    def start(*overrides: str, name: str = "a") -> RunResult:
        return start_run(load_config([*small_run, *overrides]).config, runs=tmp_path, name=name)

    return start


def rows(result: RunResult) -> list[dict[str, Any]]:
    lines = (result.folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


def unclocked(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith("time/")}


@pytest.mark.parametrize(
    ("knobs", "values", "best"),
    [
        ({"monitor": "val/loss"}, [3, 2, 2, 1], [True, True, False, True]),
        ({"monitor": "val/accuracy"}, [0.1, 0.2, 0.2, 0.1], [True, True, False, False]),
        ({"monitor": "val/loss", "mode": "max"}, [3, 2, 4], [True, False, True]),
        ({"monitor": "val/loss", "min_delta": 0.5}, [3, 2.6, 2.4], [True, False, True]),
        ({"monitor": "val/loss"}, [float("nan"), 2, float("nan"), 1], [False, True, False, True]),
    ],
)
def test_a_monitor_knows_the_best_epoch(knobs: dict[str, Any], values: list[float], best: list[bool]) -> None:
    monitor = Monitor(EarlyStop(**knobs), validates=True)
    assert [monitor.update({monitor.metric: value}) for value in values] == best


def test_a_fractional_run_ends_inside_its_last_epoch(run: Callable[..., RunResult]) -> None:
    result = run("train.epochs=1.5", "schedule.name=linear")
    steps = [row["step"] for row in rows(result)]
    assert [row["epoch"] for row in rows(result)] == [1, pytest.approx(1.5, abs=0.5 / steps[0])]
    assert steps[1] == math.ceil(1.5 * steps[0])
    assert rows(result)[-1]["test/accuracy"] == result.summary["test/accuracy"]
    assert resume_run(result.folder).message == "already finished; nothing was done"


@pytest.mark.parametrize(("epochs", "averaged"), [(2.5, 1), (2.5, 2), (3, 2)])
def test_as_many_ends_of_epochs_are_averaged_as_asked_for(run, epochs: float, averaged: int) -> None:
    """Before: one too many where the last epoch is a fraction."""
    result = run(f"train.epochs={epochs}", "train.ema.decay=0", f"train.swa.epochs={averaged}")
    assert load_checkpoint(result.folder / "checkpoint.pt")["swa"]["count"] == averaged


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (["train.max_steps=4"], "none of train.swa.epochs=3 was reached, so no average is evaluated"),
        (["train.max_steps=18"], "only 1 of train.swa.epochs=3 averaged"),
        (
            ["train.target_accuracy=1e-9"],
            "reached train.target_accuracy=1e-09; none of train.swa.epochs=3 was reached, so no average is evaluated",
        ),
        (["train.epochs=2"], ""),
    ],
)
def test_a_run_that_ends_before_its_averaged_epochs_says_so(run, knobs: list[str], message: str) -> None:
    result = run("train.epochs=5", "train.ema.decay=0", "train.swa.epochs=3", *knobs)
    assert (result.status, result.message) == ("finished", message)


def test_the_passes_of_the_stochastic_average_are_training_time(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: on no clock at all, and so free in `trainer bench accuracy`."""
    now = 0.0

    def take_100_seconds(*_: object) -> None:
        nonlocal now
        now += 100

    monkeypatch.setattr("trainer.training.counters.time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(Swa, "refresh_norms", take_100_seconds)
    result = run("train.epochs=3", "train.ema.decay=0", "train.swa.epochs=2")
    assert [row["time/train_seconds"] for row in rows(result)] == [0, 100, 200]
    assert rows(result)[-1]["time/images_per_second"] > 1e6  # its steps took no time


def test_patience_counts_epochs_without_a_new_best_and_outlives_a_resume() -> None:
    config = EarlyStop(monitor="train/loss", patience=2)
    monitor, seen = Monitor(config, validates=False), []
    for loss in (3, 2, 2.5, 1, 1, 1):
        resumed = Monitor(config, validates=False)
        resumed.load_state_dict(monitor.state_dict())
        monitor = resumed
        monitor.update({"train/loss": loss})
        seen.append(monitor.exhausted)
    assert seen == [False, False, False, False, False, True]


def test_without_a_name_the_validation_loss_is_watched_and_the_training_loss_without_one() -> None:
    assert [Monitor(EarlyStop(), validates=each).metric for each in (True, False)] == ["val/loss", "train/loss"]


def test_a_run_without_a_new_best_ends_early_and_with_its_best_weights(run, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    update = Monitor.update
    monkeypatch.setattr(Monitor, "update", lambda self, metrics: update(self, {"val/loss": next(losses)}))
    result = run(
        "train.epochs=9", "data.val_fraction=0.25", "train.early_stop.patience=2", "train.early_stop.restore_best=true",
        "train.ema.decay=0", "train.keep_best=true", "probe.path.every_epochs=1",
    )  # fmt: skip
    assert (result.status, result.summary["epoch"]) == ("finished", 4)
    assert result.message == "stopped early: no better val/loss for 2 epochs"
    last = rows(result)[-1]
    assert (last["epoch"], last["restored_epoch"]) == (4, 2)
    best, final = (load_checkpoint(result.folder / name)["evaluated"] for name in ("best.pt", "checkpoint.pt"))
    torch.testing.assert_close(final, best, rtol=0, atol=0)
    assert last["val/loss"] == rows(result)[1]["val/loss"]
    assert last["test/accuracy"] == rows(result)[1]["test/accuracy"]
    assert load_trained(result.folder).epoch == 2
    kept = {epoch: load_checkpoint(result.folder / f"path/{epoch}.pt")["evaluated"] for epoch in (2, 4)}
    torch.testing.assert_close(kept[2], best, rtol=0, atol=0)
    assert any(not torch.equal(kept[4][key], best[key]) for key in best)  # before: the restored ones, as epoch 4


def test_the_test_accuracy_at_the_best_validation_is_of_that_epoch_or_left_out(run, monkeypatch) -> None:
    """Before: the summary kept that of an earlier best epoch, where the best one was not tested."""
    accuracies = iter([0.1, 0.2, 0.9, 0.3])
    best = Counters.best_accuracies
    monkeypatch.setattr(
        Counters, "best_accuracies", lambda self, metrics: best(self, {**metrics, "val/accuracy": next(accuracies)})
    )
    result = run("train.epochs=4", "train.evaluate_every=2", "data.val_fraction=0.25")
    assert "test/accuracy_at_best_val" in rows(result)[1]
    assert "test/accuracy_at_best_val" not in {**rows(result)[3], **result.summary}


@pytest.mark.parametrize("resumed", [False, True])
def test_the_last_row_is_of_the_restored_epoch_and_the_bests_are_of_all_epochs(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    """Before: train/* were those of the last epoch, and the bests left it out."""
    losses = iter([3.0, 1.0, 2.0, 2.0])
    update = Monitor.update
    monkeypatch.setattr(Monitor, "update", lambda self, metrics: update(self, {"val/loss": next(losses)}))
    accuracies = iter([0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 0.7, 0.8, 0.3, 0.3])  # val and test by epoch, then again
    measure = Evaluation.metrics
    monkeypatch.setattr(
        Evaluation, "metrics", lambda self, name: {**measure(self, name), f"{name}accuracy": next(accuracies)}
    )
    words = ["train.epochs=4", "data.val_fraction=0.25", "train.early_stop.restore_best=true", "train.ema.decay=0"]
    if resumed:
        with broken_at(14):  # in the third epoch, after the best one
            run(*words)
        result = resume_run(tmp_path / "a")
    else:
        result = run(*words)
    _, best, _, last = rows(result)
    assert (last["epoch"], last["restored_epoch"], best["epoch"]) == (4, 2, 2)
    for key in ("train/loss", "train/accuracy", "val/loss", "test/loss"):
        assert last[key] == best[key] == result.summary[key], key
    assert (last["val/accuracy"], last["test/accuracy"]) == (0.3, 0.3)
    assert (last["val/accuracy_best"], last["test/accuracy_best"]) == (0.7, 0.8)
    assert result.summary["test/accuracy_at_best_val"] == last["test/accuracy_at_best_val"] == 0.8


RESTORED = ["train.target_accuracy=0.9", "train.early_stop.restore_best=true"]
MONITORED = ["train.early_stop.monitor=val/accuracy"]


def test_restored_weights_beside_a_target_need_a_validation_set() -> None:
    with pytest.raises(
        ConfigError, match="without a validation set the test accuracy of the last weights ends the run"
    ):
        load_config(RESTORED)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "restore_best goes back to the best val/loss; set train.early_stop.monitor=val/accuracy"),
        (["train.early_stop.monitor=train/accuracy"], "restore_best goes back to the best train/accuracy; set"),
        ([*MONITORED, "train.early_stop.mode=min"], "mode=min goes back to the lowest; set train.early_stop.mode=max"),
        ([*MONITORED, "train.early_stop.min_delta=0.1"], "min_delta=0.1 may go back to one below it; set"),
    ],
)
def test_a_target_and_restored_weights_that_may_be_below_it_are_warned_of(words: list[str], said: str) -> None:
    """Refused they would be no more of use: runs and sweeps of that kind that were trained before."""
    config = load_config([*RESTORED, "data.val_fraction=0.1", *words]).config
    (line,) = doubts(config.model_dump())
    assert line.startswith("train.target_accuracy: 0.9: val/accuracy ends the run, but train.early_stop.")
    assert said in line


def test_a_target_and_what_restores_it_raise_no_doubt() -> None:
    for words in (MONITORED, [*MONITORED, "train.early_stop.mode=max"]):
        assert not [*doubts(load_config([*RESTORED, "data.val_fraction=0.1", *words]).config.model_dump())]


def test_a_run_ends_at_its_target_accuracy_and_says_when(run) -> None:
    result = run("train.epochs=30", "model.width=8", "train.ema.decay=0", "train.target_accuracy=0.9")
    accuracies = [row["test/accuracy"] for row in rows(result)]
    assert accuracies[-1] >= 0.9 > max(accuracies[:-1], default=0)
    assert result.summary["epochs_to_target"] == len(accuracies) < 30
    assert 0 < result.summary["time/to_target_seconds"] <= result.summary["time/train_seconds"]


def test_a_run_ends_when_its_seconds_are_over(run) -> None:
    result = run("train.epochs=10000", "train.max_seconds=0.2")
    assert result.message == "stopped after train.max_seconds=0.2"
    assert 0.2 <= result.summary["time/train_seconds"] < 5
    assert "test/accuracy" in rows(result)[-1]


@pytest.mark.parametrize("protocol", ["last", "best_val", "best_test"])
def test_the_headline_is_what_the_protocol_says(run, protocol: str) -> None:
    result = run(f"protocol={protocol}", "data.val_fraction=0.25", "train.epochs=5", "train.ema.decay=0")
    test, val = ([row[f"{name}/accuracy"] for row in rows(result)] for name in ("test", "val"))
    expected = {"last": test[-1], "best_val": test[val.index(max(val))], "best_test": max(test)}
    assert result.summary["headline/accuracy"] == expected[protocol]
    assert result.summary["headline/protocol"] == protocol


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["protocol=best_val"], "protocol: 'best_val' needs a validation set"),
        (["protocol=best_test", "train.evaluate_every=2"], "protocol: 'best_test' needs every epoch evaluated"),
        (["train.early_stop.monitor=val/loss"], "train.early_stop.monitor: 'val/loss' needs a validation set"),
        (["train.early_stop.monitor=test/accuracy"], "train.early_stop.monitor: 'test/accuracy' is not a choice"),
        (["train.swa.epochs=2", "train.ema.decay=0.9"], "train.swa.epochs: there can be only one averaged network"),
    ],
)
def test_what_cannot_be_watched_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides)
    (line,) = caught.value.problems
    assert line.startswith(said)


@pytest.mark.parametrize(("words", "steps"), [([], 18), (["train.max_steps=7"], 7)])
def test_an_average_that_would_stay_at_the_first_step_is_refused_before_it(
    run, tmp_path: Path, words: list[str], steps: int
) -> None:
    """Before: the network after step 1 was evaluated to the end, without a word."""
    words = ["train.ema.decay=0.9", *words]
    for every in (steps, 500):
        with pytest.raises(ConfigError, match=rf"^train.ema.every: {every}: the run has {steps} steps") as caught:
            run(*words, f"train.ema.every={every}")
        assert len(caught.value.problems) == 1
    assert not list(tmp_path.glob("a"))
    run(*words, f"train.ema.every={steps - 1}")
    run(*words, "train.ema.every=500", "train.ema.decay=0", name="b")


def test_the_stochastic_average_is_the_mean_of_the_last_epochs_with_its_own_statistics(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[dict[str, torch.Tensor]] = []
    end = Loop.update_swa

    def note(loop: Loop) -> None:
        weights.append({key: p.detach().clone() for key, p in loop.parts.model.named_parameters()})
        end(loop)

    monkeypatch.setattr(Loop, "update_swa", note)
    result = run("train.epochs=4", "train.ema.decay=0", "train.swa.epochs=3")
    kept = load_checkpoint(result.folder / "checkpoint.pt")
    for key in weights[0]:
        expected = torch.stack([each[key] for each in weights[-3:]]).mean(0)
        torch.testing.assert_close(kept["evaluated"][key], expected)
    variance = next(key for key in kept["evaluated"] if key.endswith("running_var"))
    assert not torch.equal(kept["evaluated"][variance], kept["model"][variance])
    assert kept["swa"]["count"] == 3


@pytest.mark.parametrize("extra", ["train.swa.epochs=2", "train.early_stop={'patience': 1, 'restore_best': True}"])
def test_averages_and_best_weights_outlive_an_interruption(run, tmp_path: Path, extra: str) -> None:
    overrides = ["train.epochs=4", "train.ema.decay=0", "data.val_fraction=0.1", extra]
    unbroken = run(*overrides, name="unbroken")
    with broken_at(17):
        run(*overrides, name="broken")
    resumed = resume_run(tmp_path / "broken")
    assert resumed.status == "finished"
    ours, theirs = ([unclocked(row) for row in rows(result)] for result in (resumed, unbroken))
    assert ours == theirs


def test_weights_gone_infinite_in_the_last_step_of_an_epoch_are_never_saved(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_step = Loop.train_batch

    def spoil(loop: Loop, *batch: Any) -> None:
        take_step(loop, *batch)
        if loop.counters.step == 12:
            with torch.no_grad():
                next(iter(loop.parts.model.parameters())).fill_(float("nan"))

    monkeypatch.setattr(Loop, "train_batch", spoil)
    result = run()
    assert (result.status, result.summary["step"]) == ("diverged", 12)
    kept = load_checkpoint(result.folder / "checkpoint.pt")
    assert kept["counters"]["step"] == 6
    assert all(value.isfinite().all() for value in kept["model"].values() if value.is_floating_point())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_are_finite_up_to_the_largest_number_of_their_format(dtype: torch.dtype) -> None:
    """Their L2 norm is not."""
    largest = torch.finfo(dtype).max
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).to(dtype).requires_grad_(False)
    net.register_buffer("empty", torch.zeros(0))
    net.register_buffer("other", torch.full((), -torch.finfo(torch.float64).max, dtype=torch.float64))
    for value in net.parameters():
        value.fill_(largest)
    assert all_finite(net)
    for name, value in net.state_dict().items():
        if value.is_floating_point() and value.numel():
            for spoilt in (math.inf, -math.inf, math.nan):
                last = value.view(-1)[-1].clone()
                value.view(-1)[-1] = spoilt
                assert not all_finite(net), (name, spoilt)
                value.view(-1)[-1] = last
    assert all_finite(net)


def test_a_number_that_is_none_is_null_in_every_file(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trainer.training.loop.evaluate", lambda *args, **kw: dataclasses.replace(evaluate(*args, **kw), loss=math.nan)
    )
    result = run()
    assert rows(result)[0]["test/loss"] is None
    assert json.loads((result.folder / "summary.json").read_text(), parse_constant=pytest.fail)["test/loss"] is None


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    "part",
    [
        "trainer.sinks.console.ConsoleSink.start",
        "trainer.sinks.console.ConsoleSink.finish",
        "trainer.sinks.folder.FolderSink.memory",
        "trainer.training.run._keep_predictions",
    ],
)
def test_run_json_does_not_stay_running_whatever_fails(
    run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    monkeypatch.setattr(part, fail)
    with pytest.raises(RuntimeError, match="broken"):
        run(name="broken")
    status = json.loads((tmp_path / "broken" / "run.json").read_text())["status"]
    assert status == ("finished" if part.endswith("ConsoleSink.finish") else "failed")
