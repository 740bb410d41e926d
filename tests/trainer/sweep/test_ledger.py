"""The ledger: what is refused, what a kill between two writes leaves, and what early termination asks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from pretend.watch import write_sweep

from trainer.errors import ConfigError, SweepError
from trainer.sweep.begun import Begun, begun_with
from trainer.sweep.file import read_sweep
from trainer.sweep.have import Had
from trainer.sweep.ledger import Claim, Ledger
from trainer.sweep.local import overrides_of
from trainer.sweep.points import Entry, Point, points_of
from trainer.sweep.status import Attempt, State
from trainer.sweep.watched import watched

SEARCH = {"optimizer.lr": {"min": 0.1, "max": 1.0}, "seed": {"value": 0}}


def entry_of(point: Point) -> Entry:
    return Entry(point, f"lr-{point.values.get('optimizer.lr', 0):.6f}-s{point.values['seed']}", "0")


def begun(folder: Path, parameters: dict[str, Any] | None = None, **more: Any) -> Ledger:
    """A ledger with every point of a grid enqueued."""
    sweep = read_sweep(write_sweep(folder, parameters or {"seed": {"values": [0, 1, 2]}}, **more))
    ledger = Ledger(sweep, folder / "s", None, overrides=[])
    ledger.enqueue([entry_of(point) for point in points_of(sweep)])
    return ledger


def claimed(ledger: Ledger) -> Claim:
    """The next claim, with the folder that its run makes."""
    claim = ledger.claim(entry_of)
    assert claim
    (ledger.database.folder / claim.run).mkdir(exist_ok=True)
    return claim


def test_an_attempt_tells_the_test_set_of_its_run(tmp_path: Path) -> None:
    """It says what chance is. An older ledger does not have it."""
    with begun(tmp_path) as ledger:
        ledger.finish(claimed(ledger), "finished", 0.5, tests=(500, 20))
        ledger.finish(claimed(ledger), "finished", 0.5)
        entry = entry_of(Point({"seed": 2}))
        attempt = Attempt(entry.point, "finished", 0.5, "a/r", archive="a", tests=(90, 3))
        ledger.take([Had(entry, attempt, {})])
        assert [each.tests for each in ledger.attempts() if each.state == "finished"] == [(500, 20), None, (90, 3)]


def test_an_older_ledger_keeps_its_overrides(tmp_path: Path) -> None:
    sweep = read_sweep(write_sweep(tmp_path, {"seed": {"values": [0]}}))
    with Ledger(sweep, tmp_path / "s", None, overrides=["train.epochs=1"]) as ledger:
        definition = optuna.load_study(study_name=sweep.name, storage=ledger.database.storage).user_attrs["definition"]
    assert definition["words"] == ["train.epochs=1"]  # the name in ledgers written so far
    assert begun_with(sweep, tmp_path / "s", None) == Begun(("train.epochs=1",), ())


def test_overrides_in_another_order_are_the_same(tmp_path: Path) -> None:
    sweep = read_sweep(write_sweep(tmp_path, {"seed": {"values": [0]}}))
    for overrides in (["train.epochs=1", "data.val_fraction=0.1"], ["data.val_fraction=0.1", "train.epochs=1"]):
        with Ledger(sweep, tmp_path / "s", None, overrides=overrides):
            pass
    with pytest.raises(SweepError, match="was begun with overrides"):
        Ledger(sweep, tmp_path / "s", None, overrides=["data.val_fraction=0.1", "train.epochs=2"])


def test_a_sweep_of_that_name_in_a_shared_database_says_what_helps(tmp_path: Path) -> None:
    """Before: it advised another --runs, under which the same study refused again."""
    path = write_sweep(tmp_path, {"seed": {"values": [0]}})
    sweep, shared = read_sweep(path), f"sqlite:///{tmp_path}/shared.db"
    cure = "give the sweep file another name, or --storage another database"
    with Ledger(sweep, tmp_path / "s", shared, overrides=[]) as ledger:
        ledger.note_design({"pairs": 1}, "1 pair")
        with pytest.raises(SweepError, match=rf"^{shared}: s: was begun with pairs 1, not 2; .*; {cure}$"):
            ledger.note_design({"pairs": 2}, "2 pairs")
        entry = entry_of(Point({"seed": 0}))
        ledger.enqueue([entry])
        with pytest.raises(SweepError, match=cure):
            ledger.enqueue([replace(entry, config="1")])
    with pytest.raises(SweepError, match=rf"^{shared}: s: was begun with overrides \[\], not \['seed=1'\]; {cure}$"):
        Ledger(sweep, tmp_path / "s", shared, overrides=["seed=1"])


def test_a_sweep_that_was_run_in_a_database_asks_for_it(tmp_path: Path) -> None:
    """Before: it was never begun, in the folder of its runs."""
    path = write_sweep(tmp_path, {"seed": {"values": [0]}})
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "s.yaml").write_text(path.read_text())
    with pytest.raises(SweepError, match=r"no ledger is here; give the --storage that it was run with, or begin it by"):
        overrides_of(path, runs=tmp_path, storage=None)


def test_a_controller_of_another_folder_that_shares_an_sqlite_file_keeps_its_runs(tmp_path: Path) -> None:
    """Before: its lock was not in this folder, and so it counted as ended."""
    sweep = read_sweep(write_sweep(tmp_path, {"seed": {"values": [0]}}))
    entries = [entry_of(point) for point in points_of(sweep)]
    shared = f"sqlite:///{tmp_path}/shared.db"
    with (
        Ledger(sweep, tmp_path / "a" / "s", shared, overrides=[]) as one,
        Ledger(sweep, tmp_path / "b" / "s", shared, overrides=[]) as other,
    ):
        one.enqueue(entries)
        claim = claimed(one)
        other.release_lost()
        other.enqueue(entries)
        assert other.claim(entry_of) is None
        assert one.beat([claim]) == []
        assert [attempt.state for attempt in other.attempts()] == ["running"]


def test_a_value_that_is_listed_as_1_and_as_1_0_is_one_choice_of_optuna(tmp_path: Path) -> None:
    """Before: a traceback at the first command of a random search."""
    parameters = {"optimizer.lr": {"values": [1, 1.0, 0.1]}, "model.bias": {"values": [True, 1, False]}}
    search = {**parameters, "seed": {"values": [0, 1]}}
    with begun(tmp_path, search, method="random", run_cap=12) as ledger:
        points = [attempt.point.values for attempt in ledger.attempts()]
    assert len(points) == 12 and {type(values["optimizer.lr"]) for values in points} == {int, float}
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/ledger.db")
    assert {trial.params["optimizer.lr"] for trial in study.trials} == {"1.0", "0.1"}
    assert {trial.params["model.bias"] for trial in study.trials} == {"true", "1", "false"}


def test_another_metric_is_another_sweep(tmp_path: Path) -> None:
    with begun(tmp_path), pytest.raises(SweepError, match=r"was begun with metric \['test/accuracy', 'maximize'\]"):
        begun(tmp_path, metric={"name": "test/loss", "goal": "minimize"})


def test_trials_are_read_again_only_where_somebody_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begun(tmp_path) as ledger, begun(tmp_path) as other:
        reads: list[int] = []
        whole = ledger._storage.get_all_trials
        monkeypatch.setattr(ledger._storage, "get_all_trials", lambda *a, **k: reads.append(1) or whole(*a, **k))

        def states() -> list[str]:
            return [attempt.state for attempt in ledger.attempts()]

        assert states() == states() == ["waiting"] * 3
        assert len(reads) == 1
        theirs = claimed(other)
        assert states() == ["running", "waiting", "waiting"], "another controller has written"
        other.finish(theirs, "finished", 0.5)
        assert states() == ["finished", "waiting", "waiting"]
        claimed(ledger)
        assert states() == ["finished", "running", "waiting"], "and so has this one"
        before = len(reads)
        assert len(ledger.entries()) == len(ledger.attempts()) == 3
        assert len(reads) == before


def test_a_point_that_has_left_the_file_is_not_run_though_it_waits(tmp_path: Path) -> None:
    begun(tmp_path).__enter__().__exit__()
    with begun(tmp_path, {"seed": {"values": [0, 2]}}) as ledger:
        assert [claimed(ledger).point.values["seed"] for _ in range(2)] == [0, 2]
        assert ledger.claim(entry_of) is None
    with begun(tmp_path) as ledger:
        assert claimed(ledger).point.values["seed"] in (0, 1, 2), "back in the file, it is run"


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_run_whose_folder_was_deleted_is_missing_and_run_again(tmp_path: Path, state: State) -> None:
    """Before: the ledger called it done, and no command trained it again. The report called it missing."""
    with begun(tmp_path, {"seed": {"values": [0, 1, 2]}}) as ledger:
        first, claim = claimed(ledger), claimed(ledger)
        for each in (first, claim):
            ledger.finish(each, state, 0.5)
        entry = entry_of(Point({"seed": 2}))
        ledger.take([Had(entry, Attempt(entry.point, "finished", 0.5, "a/r", archive="a"), {})])
    (tmp_path / "s" / claim.run).rmdir()
    (tmp_path / "s" / "s.yaml").write_text((tmp_path / "s.yaml").read_text())
    found = watched(tmp_path / "s" / "s.yaml")
    assert found and [each.state for each in found.progress.points] == [state, "missing", "finished"]
    with begun(tmp_path) as ledger:
        assert [attempt.state for attempt in ledger.attempts()] == [state, "finished", "waiting"]
        again = claimed(ledger)
        assert (again.point, again.run) == (claim.point, claim.run)
        assert ledger.claim(entry_of) is None
        ledger.finish(again, state, 0.5)
        assert [attempt.state for attempt in ledger.attempts()] == [state, "finished", state]


def test_a_deleted_run_stays_deleted_when_its_point_has_a_folder_again(tmp_path: Path) -> None:
    """Before: the old number counted again as soon as the new run had made its folder, and nothing resumed that one."""
    seeds = {"seed": {"values": [0, 1]}}
    with begun(tmp_path, seeds) as ledger:
        for claim in (claimed(ledger), claimed(ledger)):
            ledger.finish(claim, "finished", 0.5)
    (tmp_path / "s" / "s.yaml").write_text((tmp_path / "s.yaml").read_text())
    with begun(tmp_path, seeds) as earlier:
        for run in ("lr-0.000000-s0", "lr-0.000000-s1"):
            (tmp_path / "s" / run).rmdir()
        with begun(tmp_path, seeds) as later:
            claims = [claimed(later), claimed(earlier)]
            for opened in (earlier, later):
                assert [attempt.state for attempt in opened.attempts()] == ["running", "running"]
            later.finish(claims[0], "interrupted")
            found = watched(tmp_path / "s" / "s.yaml")
            assert found and [each.state for each in found.progress.points] == ["interrupted", "running"]
            earlier.finish(claims[1], "finished", 0.7)
    with begun(tmp_path, seeds) as ledger:
        again = claimed(ledger)
        assert again.point == claims[0].point
        ledger.finish(again, "finished", 0.6)
        assert [attempt.value for attempt in ledger.attempts() if attempt.state == "finished"] == [0.7, 0.6]
    shared = f"sqlite:///{tmp_path}/s/ledger.db"
    with Ledger(read_sweep(tmp_path / "s.yaml"), tmp_path / "elsewhere" / "s", shared, overrides=[]) as ledger:
        assert [attempt.value for attempt in ledger.attempts() if attempt.state == "finished"] == [0.7, 0.6]


@pytest.mark.parametrize("first", ["crashed", "interrupted"])
def test_a_deleted_run_takes_its_earlier_attempts_with_it(tmp_path: Path, first: State) -> None:
    """Before: one that had crashed first was not run again, and early termination judged the new run by old values."""
    early = {"type": "hyperband", "min_iter": 1}
    with begun(tmp_path, early_terminate=early) as ledger:
        claim = claimed(ledger)
        ledger.report(claim, 1, 0.1)
        ledger.finish(claim, first)
        ledger.enqueue([entry_of(claim.point)], retry=True)
        ledger.finish(claimed(ledger), "finished", 0.1)
        ledger.report(claimed(ledger), 1, 0.5)
    (tmp_path / "s" / claim.run).rmdir()
    with begun(tmp_path, early_terminate=early) as ledger:
        again = claimed(ledger)
        assert (again.point, again.last_epoch) == (claim.point, 0)
        assert not ledger.report(again, 1, 0.6)


def test_a_search_runs_a_deleted_point_again_and_proposes_no_other(tmp_path: Path) -> None:
    with begun(tmp_path, SEARCH, method="bayes", run_cap=2) as ledger:
        first, second = claimed(ledger), claimed(ledger)
        for claim in (first, second):
            ledger.finish(claim, "finished", 0.5)
    (tmp_path / "s" / first.run).rmdir()
    with begun(tmp_path, SEARCH, method="bayes", run_cap=2) as ledger:
        ledger.enqueue(ledger.entries())
        again = claimed(ledger)
        assert again.run == first.run
        assert ledger.claim(entry_of) is None
        ledger.finish(again, "finished", 0.5)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/ledger.db")
    was, _, now = study.trials
    assert now.params and (now.params, now.distributions) == (was.params, was.distributions), "the sampler learns of it"


def test_a_shared_database_says_nothing_of_folders(tmp_path: Path) -> None:
    sweep = read_sweep(write_sweep(tmp_path, {"seed": {"values": [0]}}))
    shared = f"sqlite:///{tmp_path}/shared.db"
    with Ledger(sweep, tmp_path / "a" / "s", shared, overrides=[]) as one:
        one.enqueue([entry_of(point) for point in points_of(sweep)])
        one.finish(claimed(one), "finished", 0.5)
    with Ledger(sweep, tmp_path / "b" / "s", shared, overrides=[]) as other:
        assert [attempt.state for attempt in other.attempts()] == ["finished"]


def test_a_proposal_that_was_cut_off_leaves_the_ledger_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begun(tmp_path, SEARCH, method="bayes", run_cap=2) as ledger:

        def cut_off(trial: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(ledger._storage, "record_heartbeat", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ledger.claim(entry_of)
        monkeypatch.undo()
        ledger.release_lost()
        assert [attempt.state for attempt in ledger.attempts()] == ["interrupted"]
        ledger.enqueue(ledger.entries())
        assert {claimed(ledger).run, claimed(ledger).run} == {entry.run for entry in ledger.entries()}
        assert ledger.claim(entry_of) is None, "run_cap points are there"


def test_an_impossible_proposal_is_passed_over(tmp_path: Path) -> None:
    refused: list[Point] = []

    def picky(point: Point) -> Entry:
        if len(refused) < 2:
            refused.append(point)
            raise ConfigError("optimizer.lr: no")
        return entry_of(point)

    with begun(tmp_path, SEARCH, method="bayes", run_cap=5) as ledger:
        claim = ledger.claim(picky)
        assert claim
        assert claim.point not in refused
        assert [attempt.point for attempt in ledger.attempts()] == [claim.point]


def test_a_claim_that_another_has_taken_over_is_lost_without_an_error(tmp_path: Path) -> None:
    early = {"type": "hyperband", "min_iter": 1}
    with begun(tmp_path, early_terminate=early) as ledger:
        claim = claimed(ledger)
        assert ledger.beat([claim]) == []
        ledger._storage.set_trial_state_values(claim.trial, TrialState.FAIL)
        assert ledger.beat([claim]) == [claim]
        assert ledger.report(claim, 1, 0.5) is False
        ledger.finish(claim, "finished", 0.5)
        assert [attempt.state for attempt in ledger.attempts() if attempt.point == claim.point] == ["interrupted"]


def test_what_a_dead_controller_ran_is_shown_as_interrupted_before_anybody_takes_it_over(tmp_path: Path) -> None:
    with begun(tmp_path) as dead:
        claim = claimed(dead)
        with begun(tmp_path) as other:
            states = {attempt.point.key: attempt.state for attempt in other.attempts()}
            assert states[claim.point.key] == "running"
    with begun(tmp_path) as other:
        states = {attempt.point.key: attempt.state for attempt in other.attempts()}
        assert states[claim.point.key] == "interrupted"


@pytest.mark.parametrize(
    ("early", "first"),
    [
        ({"min_iter": 2, "eta": 2}, 2),
        ({"max_iter": 9, "s": 1, "eta": 3}, 3),
        ({"max_iter": 9, "s": 2, "eta": 3}, 1),
        ({"max_iter": 9, "s": 4}, 1),
        ({"min_iter": 3, "eta": 1.5}, 3),
    ],
)
def test_a_run_is_stopped_at_the_first_bracket_of_the_file(tmp_path: Path, early: dict[str, Any], first: int) -> None:
    seeds = {"seed": {"values": [0, 1, 2, 3]}}
    with begun(tmp_path, seeds, early_terminate={"type": "hyperband", **early}) as ledger:
        best, *good, worst = (claimed(ledger) for _ in range(4))
        for epoch in range(1, 13):
            assert not ledger.report(best, epoch, 1.0)
            for each in good:
                ledger.report(each, epoch, 0.9)
        assert next(epoch for epoch in range(1, 13) if ledger.report(worst, epoch, 0.1)) == first


def test_an_interrupted_run_passes_its_brackets_once(tmp_path: Path) -> None:
    with begun(tmp_path, {"seed": {"value": 0}}, early_terminate={"type": "hyperband", "min_iter": 1}) as ledger:
        first = claimed(ledger)
        assert not ledger.report(first, 1, 0.2)
        ledger.finish(first, "interrupted")
        ledger.enqueue([entry_of(first.point)])
        again = claimed(ledger)
        assert (again.trial, again.last_epoch) == (again.trial, 1)
        assert again.trial != first.trial
        assert not ledger.report(again, 2, 0.1), "bracket 1 is behind it"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nosuch://me:secret@there/x", "nosuch://me:***@there/x"),
        ("nosuch://me:sec@ret@there/x", "nosuch://me:***@there/x"),
        ("nosuch://me:sec/ret@there/x", "nosuch://me:***@there/x"),
        ("nosuch://:secret@there/0", "nosuch://:***@there/0"),
        ("me:secret@there/x", "me:***@there/x"),
        ("nosuch://there/x?user=me&password=secret&a=b", "nosuch://there/x?user=me&password=***&a=b"),
        ("nosuch://there:5432/x", "nosuch://there:5432/x"),
    ],
)
def test_a_password_is_not_shown(tmp_path: Path, url: str, shown: str) -> None:
    sweep = read_sweep(write_sweep(tmp_path))
    with pytest.raises(SweepError) as caught:
        begun_with(sweep, tmp_path / "s", url)
    assert "secret" not in str(caught.value) and "ret@" not in str(caught.value)
    assert f"--storage: {shown}: " in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:secret@h/db", "mysql://me:***@h/db: expected postgresql://USER@HOST/NAME or sqlite:///FILE"),
        ("nosuch://h/db", "nosuch://h/db: expected postgresql://USER@HOST/NAME or sqlite:///FILE"),
        ("h/db", "h/db: expected postgresql://USER@HOST/NAME or sqlite:///FILE"),
        (
            "postgresql+asyncpg://h/db",
            "needs its driver: pip install 'cifar-sweeps[postgres]', and write postgresql://",
        ),
    ],
)
def test_a_database_that_is_not_ours_is_named_with_those_that_are(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(SweepError) as caught:
        begun_with(read_sweep(write_sweep(tmp_path)), tmp_path / "s", url)
    assert said in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_short_for_postgresql(tmp_path: Path, scheme: str) -> None:
    with pytest.raises(SweepError) as caught:
        begun_with(read_sweep(write_sweep(tmp_path)), tmp_path / "s", f"{scheme}://me:secret@127.0.0.1:1/db")
    assert "onnection refused" in str(caught.value) and "secret" not in str(caught.value)


def test_optuna_s_importances_are_those_of_a_grid(tmp_path: Path) -> None:
    """Of the rate, on which the values depend, and not of the activation. A dashboard reads the same params."""
    rates = [0.1, 0.2, 0.3, 0.4]
    parameters = {"model.act": {"values": ["relu", "silu"]}, "optimizer.lr": {"values": rates}, "seed": {"values": [0]}}
    with begun(tmp_path, parameters) as ledger:
        for _ in range(8):
            claim = claimed(ledger)
            ledger.finish(claim, "finished", claim.point.values["optimizer.lr"])
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/ledger.db")
    assert {trial.params["optimizer.lr"] for trial in study.trials} == {"0.1", "0.2", "0.3", "0.4"}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    importances = optuna.importance.get_param_importances(
        study, evaluator=evaluator, params=["model.act", "optimizer.lr"]
    )
    assert importances["optimizer.lr"] > 10 * importances["model.act"]


def test_values_that_are_added_to_a_file_later_are_run_and_leave_their_key_out_of_optuna_s_params(
    tmp_path: Path,
) -> None:
    with begun(tmp_path, {"seed": {"values": [0]}, "optimizer.lr": {"values": [0.1, 0.2]}}) as ledger:
        for _ in range(2):
            ledger.finish(claimed(ledger), "finished", 0.5)
    with begun(tmp_path, {"seed": {"values": [0, 1]}, "optimizer.lr": {"values": [0.1, 0.2]}}) as ledger:
        assert claimed(ledger).point.values["seed"] == 1
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/ledger.db")
    assert [sorted(trial.params) for trial in study.trials] == [["optimizer.lr", "seed"]] * 2 + [["optimizer.lr"]] * 2
