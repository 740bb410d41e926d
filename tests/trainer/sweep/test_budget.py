"""Whole rounds of seeds within a time."""

import datetime
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pretend import server
from pretend.train import main
from pretend.watch import write_sweep

from trainer.errors import SweepError
from trainer.sweep import budget, engine, local
from trainer.sweep.budget import Round, most_rows_an_hour, next_round, read_duration, run_for, seconds_until
from trainer.sweep.local import LocalSweep, open_sweep
from trainer.sweep.pilot import Pilot, PilotError
from trainer.sweep.status import Progress

RATES = {"optimizer.lr": {"values": [0.1, 0.01]}, "seed": {"values": [0, 1, 2]}}


@pytest.fixture(autouse=True)
def _pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let local sweeps run pretended training, of five times PRETEND_SECONDS."""

    server.ready()
    monkeypatch.setattr(local, "Engine", partial(engine.Engine, target=main))
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.02)
    monkeypatch.setenv("PRETEND_SECONDS", "0.01")


def sweep_in(folder: Path, parameters: dict[str, Any] = RATES, **more: Any) -> LocalSweep:
    folder.mkdir(exist_ok=True)
    path = write_sweep(folder, parameters, **more).rename(folder / f"{folder.name}.yaml")
    return open_sweep(path, runs=folder.parent / "runs")


def spend(
    sweeps: list[LocalSweep], seconds: float, *, predicted: float | Callable[[LocalSweep], float], jobs: int = 1
) -> tuple[list[Progress], list[str]]:
    """Return (the progress of each sweep, what was said)."""
    said: list[str] = []

    def predict(_: object, sweep: LocalSweep) -> float:
        return predicted(sweep) if callable(predicted) else predicted

    spent = run_for(sweeps, seconds, predict=predict, watch=unwatched, say=said.append, jobs=jobs, devices=["auto"])
    assert spent.signal is None
    return [*spent.progress], said


@contextmanager
def unwatched(_: LocalSweep) -> Iterator[engine.Watch]:
    yield lambda _: None


def seeds_done(progress: Progress) -> Counter[int]:
    return Counter(status.point.values["seed"] for status in progress.points if status.state == "finished")


def test_a_round_that_does_not_fit_is_not_begun_and_the_table_stays_balanced(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path / "a")
    predicted = iter([1.0, 1.0] + [10**6] * 2)
    (progress,), said = spend([sweep], 10**5, predicted=lambda _: next(predicted))
    assert progress.complete, "the first round's own time counts for the next ones, not the prediction"
    assert [line.partition(";")[0] for line in said[:1]] == ["a, seed 1 of each point: 2 runs, about 2 s"]

    other = sweep_in(tmp_path / "b")
    (progress,), said = spend([other], 30, predicted=40)
    assert progress.count("missing") == 6
    assert said[-1].endswith("left, too little for b, seed 1 of each point: 2 runs, about 80 s")
    assert not other.folder.exists(), "nothing was begun"


def test_time_runs_out_runs_save_and_the_same_command_goes_on_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_in(tmp_path / "a")

    class Clock:
        """Time is out as soon as a run has saved."""

        sleep = time.sleep

        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + 10**6 * any(sweep.folder.glob("*/checkpoint.json"))

    with monkeypatch.context() as patched:
        for module in (engine, budget):
            patched.setattr(module, "time", Clock)
        patched.setenv("PRETEND_SECONDS", "0.5")
        (progress,), _ = spend([sweep], 10**5, predicted=1)
    assert [status.state for status in progress.points].count("interrupted") == 1
    (progress,), said = spend([sweep], 10**4, predicted=1)
    assert progress.complete
    assert "seed 1 of each point: 2 runs" in said[0]
    first = next(status for status in progress.points if len(status.attempts) == 2)
    assert [attempt.state for attempt in first.attempts] == ["finished", "interrupted"]


def test_sweeps_get_the_same_number_of_seeds_the_cheapest_first(tmp_path: Path) -> None:
    costs = {"a": 3.0, "b": 1.0}
    sweeps = [sweep_in(tmp_path / name) for name in costs]
    _, said = spend(sweeps, 10**4, predicted=lambda sweep: costs[sweep.name], jobs=2)
    order = [line.partition(" of")[0] for line in said]
    assert order[:2] == ["b, seed 1", "a, seed 1"]
    assert sorted(order[2:4]) == ["a, seed 2", "b, seed 2"]


def test_points_that_fail_are_tried_once_and_the_next_round_is_run(tmp_path: Path) -> None:
    (progress,), _ = spend([sweep_in(tmp_path / "a", {"seed": {"values": [13, 1, 66]}})], 10**4, predicted=1)
    assert [status.state for status in progress.points] == ["crashed", "finished", "diverged"]


def test_a_search_begins_no_point_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"optimizer.lr": {"min": 0.01, "max": 0.2}, "seed": {"value": 0}}
    sweep = sweep_in(tmp_path / "a", parameters, method="random", run_cap=60)
    finished, seconds = sweep.folder / "finished.log", engine.Ledger.seconds

    class Clock:
        """Each run takes 100 seconds."""

        sleep = time.sleep

        @staticmethod
        def monotonic() -> float:
            return 100.0 * len(finished.read_text().split()) if finished.exists() else 0.0

    for module in (engine, budget):
        monkeypatch.setattr(module, "time", Clock)
    monkeypatch.setattr(engine.Ledger, "seconds", lambda ledger: dict.fromkeys(seconds(ledger), 100.0))
    (progress,), _ = spend([sweep], 250, predicted=1)
    assert progress.count("finished") == 2
    assert progress.count("interrupted") == 0


def test_a_sweep_that_cannot_be_timed_is_skipped_with_a_line_and_the_others_run(tmp_path: Path) -> None:
    sweeps = [sweep_in(tmp_path / name) for name in ("a", "b")]
    said: list[str] = []

    def predict(_: object, sweep: LocalSweep) -> float:
        if sweep.name == "a":
            raise PilotError("optimizer.lr=0.1 seed=0: out of memory")
        return 1.0

    spent = run_for(sweeps, 10**4, predict=predict, watch=unwatched, say=said.append, jobs=1, devices=["auto"])
    assert [each.count("finished") for each in spent.progress] == [0, 6]
    assert spent.skipped == ("a",)
    assert said[0] == "a is skipped: optimizer.lr=0.1 seed=0: out of memory"


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_a_search_says_how_many_runs_and_how_long_one_takes(tmp_path: Path, method: str) -> None:
    parameters = {"optimizer.lr": {"min": 0.01, "max": 0.2}, "seed": {"value": 0}}
    found = next_round(sweep_in(tmp_path / "a", parameters, method=method, run_cap=7), lambda _: 12.0, jobs=1)
    assert str(found) == f"a: up to 7 runs of a {method} search, about 12 s each"


def test_a_search_of_which_a_part_is_asked_for_has_that_many_runs(tmp_path: Path) -> None:
    parameters = {"optimizer.lr": {"values": [0.1, 0.2]}, "seed": {"value": 0}}
    sweep = sweep_in(tmp_path / "a", parameters, method="random", run_cap=2)
    found = next_round(replace(sweep, entries=sweep.entries[:1]), lambda _: 12.0, jobs=1)
    assert found and found.count == 1, "before: all that the search has"


def test_a_round_that_another_controller_runs_is_left_to_it(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path / "a")
    with local.Ledger(sweep.checked.sweep, sweep.folder, None, overrides=[]) as other:
        other.enqueue(sweep.entries[:1])
        assert other.claim(lambda _: sweep.entries[0])
        found = next_round(sweep, lambda _: 1.0, jobs=1)
    assert found
    assert [entry.point.key for entry in found.entries] == [sweep.entries[1].point.key]
    assert found.begun


def a_round(sweep: LocalSweep, **more: Any) -> Round:
    return Round(
        **{"sweep": sweep, "number": 0, "entries": (), "seconds": 3600.0, "begun": False, "rows": 1, "count": 2, **more}
    )


def test_the_catalogue_takes_first_what_brings_most_rows_to_a_verdict_in_an_hour(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path / "a")
    begun = a_round(sweep, begun=True, rows=0)
    many, few = a_round(sweep, rows=6), a_round(sweep, rows=1)
    nearly = a_round(sweep, rows=3, number=2)  # one seed from a verdict: as good as nine rows in three rounds
    answered = a_round(sweep, rows=0, number=3, seconds=1.0)
    assert sorted([answered, few, nearly, many, begun], key=most_rows_an_hour) == [begun, nearly, many, few, answered]


def test_rows_count_until_three_seeds_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_in(tmp_path / "handmade", {"seed": {"values": [0, 1, 2, 3]}})
    monkeypatch.setattr(budget, "_FOR_A_VERDICT", 1)
    found = next_round(sweep, lambda _: 1.0, jobs=1)
    assert found
    assert found.rows > 0
    after = next_round(sweep, lambda _: 1.0, jobs=1, tried={0})
    assert after
    assert (after.number, after.rows) == (1, 0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("9m", 540), ("1h30m", 5400), ("0.5h", 1800), ("1d", 86400)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "9", "m", "9 m", "-9m", "0m", "9min", "1e3s", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SweepError, match=r"--for: '.*': expected a time, such as 90s, 9m or 1h30m"):
        read_duration(text)


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as here:
        here.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def hours_until(text: str, now: str, *, fold: int = 0) -> float:
    return seconds_until(text, datetime.datetime.fromisoformat(now).replace(fold=fold).timestamp()) / 3600


def test_a_time_of_day_is_the_next_one() -> None:
    now = "2026-11-28 23:30"
    assert [hours_until(text, now) for text in ("23:45", "04:30", "23:30")] == [0.25, 5, 24]
    with pytest.raises(SweepError, match="--until: '25:00': expected decided, or a time of day such as 04:30"):
        hours_until("25:00", now)
    for text in ("04:30Z", "04:30+09:00"):  # before: the zone was ignored
        with pytest.raises(SweepError, match="the clock is that of this machine; leave the zone out"):
            hours_until(text, now)


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize(
    ("text", "now", "fold", "hours"),
    [
        ("06:00", "2027-03-27 22:00", 0, 7),  # before: 8, which is 07:00 by the clock
        ("06:00", "2026-10-24 22:00", 0, 9),  # before: 8, which is 05:00
        ("22:00", "2027-03-27 22:00", 0, 23),
        ("22:00", "2026-10-24 22:00", 0, 25),
        ("02:30", "2027-03-27 22:00", 0, 4.5),  # the clock goes from 02:00 to 03:00, and to 03:30 half an hour later
        ("02:30", "2027-03-28 03:10", 0, 23 + 1 / 3),
        ("02:30", "2026-10-24 22:00", 0, 4.5),  # the first of two
        ("02:30", "2026-10-25 02:45", 0, 0.75),  # the second
        ("02:30", "2026-10-25 02:45", 1, 23.75),
    ],
)
def test_a_time_of_day_is_what_the_clock_shows_also_when_it_is_changed(
    text: str, now: str, fold: int, hours: float
) -> None:
    assert hours_until(text, now, fold=fold) == pytest.approx(hours)


def test_a_pilot_predicts_from_a_few_steps_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {"data.name": {"value": "shapes10"}, "data.train_size": {"value": 200}, "model.name": {"value": "lenet5"}}
    sweep = sweep_in(tmp_path / "a", {**tiny, "train.epochs": {"values": [1, 3]}, "seed": {"values": [0, 1]}})
    said: list[str] = []
    pilot = Pilot(tmp_path / "runs", {"OMP_NUM_THREADS": "1"}, said.append)
    one, three = (pilot.seconds(entry, sweep.checked.sweep) for entry in sweep.entries[:2])
    assert 0 < one < three
    assert len(said) == 1, "the number of epochs changes no piece of a run"
    again = Pilot(tmp_path / "runs", {"OMP_NUM_THREADS": "1"}, said.append)
    assert again.seconds(sweep.entries[2], sweep.checked.sweep) == one, "another seed takes as long"
    assert len(said) == 1

    kept = tmp_path / "runs" / ".pace.json"
    (key,) = known = json.loads(kept.read_text())
    for other in ({**known[key], "older": 1}, {"start": 1}, 3):  # as another version of the trainer left it
        kept.write_text(json.dumps({key: other}))
        assert Pilot(tmp_path / "runs", {"OMP_NUM_THREADS": "1"}, said.append).seconds(
            sweep.entries[0], sweep.checked.sweep
        )
        assert said.pop() == said[0]
    kept.write_text("{")
    monkeypatch.setenv("TRAINER_AUTO_PRECISION", "float7")
    with pytest.raises(SweepError, match="TRAINER_AUTO_PRECISION: 'float7' is not a choice"):
        Pilot(tmp_path / "runs", {}).seconds(sweep.entries[0], sweep.checked.sweep)
