"""Seeds until decided, over pretended training."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pretend import server
from pretend.train import main
from pretend.watch import noted, write_sweep

from trainer.errors import ConfigError, SweepError, UserError
from trainer.report.sources import as_asked
from trainer.sinks import packages
from trainer.statistics.sequential import Design
from trainer.sweep import decided, engine, local, storage
from trainer.sweep.decided import Decided, design_of, plan_for, run_until_decided
from trainer.sweep.file import read_sweep
from trainer.sweep.header import Until, seeds_until
from trainer.sweep.ledger import Ledger
from trainer.sweep.local import LocalSweep, open_sweep
from trainer.sweep.order import Plan
from trainer.sweep.points import points_of
from trainer.sweep.watched import watched

THREE = {"optimizer.lr": {"values": [0.9, 0.4, 0.41]}, "seed": {"values": [0, 1]}}
NUMBERS: dict[str, Any] = {"at_least": 3, "at_most": 6}


@pytest.fixture(autouse=True)
def _pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    server.ready()
    monkeypatch.setattr(local, "Engine", partial(engine.Engine, target=main))
    monkeypatch.setenv("PRETEND_NOISE", "0.1")
    monkeypatch.setenv("PRETEND_SECONDS", "0.01")
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.02)


def opened(
    folder: Path, parameters: dict[str, Any] = THREE, at_most: int = 6, plan: Plan | None = None, **more: Any
) -> LocalSweep:
    path = write_sweep(folder, parameters, **more)
    return open_sweep(path, runs=folder, plan=plan_for(plan or Plan(), Design(at_most=at_most)))


def design_for(sweep: LocalSweep, question: str = "best", **numbers: Any) -> Design:
    return design_of(sweep, question, Design(**{**NUMBERS, **numbers}))


def run(sweep: LocalSweep, design: Design) -> Decided:
    return run_until_decided(sweep, design, jobs=2, devices=["auto"], watch=lambda _: None, say=lambda _: None)


def test_a_beaten_configuration_gets_no_further_seed(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    design = design_for(sweep)
    end = run(sweep, design)
    of = {(d.a, d.b): d.higher for d in end.decisions}
    assert (of["lr=0.9", "lr=0.4"], of["lr=0.9", "lr=0.41"]) == ("lr=0.9", "lr=0.9")
    assert end.open == ()
    assert end.runs == 9, "three seeds of each are enough where one leads by far"
    assert f"{end.runs} runs, where 6 seeds for each configuration are 18" in end.as_text()
    assert "lr=0.9 is higher than lr=0.4: different, after 3 seeds" in end.as_text()


def test_other_commands_know_that_what_was_not_needed_is_not_due(tmp_path: Path) -> None:
    """Before: all seeds of the design were due for all, so `status` had 9 of 18 and a plain command ran the others."""
    sweep = opened(tmp_path)
    end = run(sweep, design_for(sweep, "all-pairs"))
    plain = open_sweep(tmp_path / "s.yaml", runs=tmp_path)
    assert (plain.progress().complete, plain.progress().total) == (True, end.runs)
    assert {entry.point.key for entry in plain.entries} == {status.point.key for status in end.progress.points}
    seen = watched(tmp_path / "s" / "s.yaml")
    assert seen is not None and (seen.progress.complete, seen.progress.total) == (True, end.runs)
    more = open_sweep(tmp_path / "s.yaml", runs=tmp_path, plan=Plan(seeds=(0, 1, 2, 3, 11)))
    assert {entry.point.values["seed"] for entry in more.entries} == {0, 1, 2, 3, 11}, "unless they are asked for"
    assert len(more.entries) == 3 * 5


def test_a_sweep_that_was_killed_before_its_first_point_has_its_files_seeds_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: all seeds that the design may need."""
    sweep = opened(tmp_path)
    design = design_for(sweep)
    with monkeypatch.context() as killed:
        killed.setattr(LocalSweep, "begin", lambda _: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            run(sweep, design)
    plain = open_sweep(tmp_path / "s.yaml", runs=tmp_path)
    assert {entry.point.values["seed"] for entry in plain.entries} == {0, 1} and len(plain.entries) == 6
    assert run(opened(tmp_path), design_for(opened(tmp_path))).runs == 9


def test_seeds_that_were_asked_for_before_are_looked_at_in_the_order_that_a_report_replays(tmp_path: Path) -> None:
    """Before: the copy beside the runs had the file's seeds alone, and a report took others for the next ones."""
    opened(tmp_path)
    first = open_sweep(tmp_path / "s.yaml", runs=tmp_path, plan=Plan(seeds=(7, 8)))
    first.run(jobs=2, devices=["auto"], watch=lambda _: None)
    kept = tmp_path / "s" / "s.yaml"
    assert "# Added:    seeds 7-8\n" in kept.read_text()
    sweep = opened(tmp_path, at_most=4)
    end = run(sweep, design_for(sweep, "all-pairs", at_most=4))
    assert end.design["seeds"] == [0, 1, 7, 8, 9, 10]
    asked = points_of(as_asked(read_sweep(kept)))
    known = list(dict.fromkeys(point.values["seed"] for point in asked))
    assert list(seeds_until(known, 6)) == end.design["seeds"]


def test_seeds_that_are_asked_for_in_between_change_no_look(tmp_path: Path) -> None:
    """Before: the design was refused for ever, and the copy had another order than the looks."""
    sweep = opened(tmp_path, at_most=4)
    end = run(sweep, design_for(sweep, "all-pairs", at_most=4))
    assert end.design["seeds"] == [0, 1, 2, 3, 4, 5]
    open_sweep(tmp_path / "s.yaml", runs=tmp_path, plan=Plan(seeds=(7, 8))).begin()
    again = opened(tmp_path, at_most=4)
    assert run(again, design_for(again, "all-pairs", at_most=4)).decisions == end.decisions
    assert "# Added:    seeds 2-5\n" in (tmp_path / "s" / "s.yaml").read_text()


def test_what_is_in_question_gets_seeds_until_they_are_spent(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    design = design_for(sweep, "all-pairs")
    end = run(sweep, design)
    undecided = next(d for d in end.decisions if (d.a, d.b) == ("lr=0.4", "lr=0.41"))
    assert undecided.verdict in ("open", "different")
    seeds = {rate: sum(name.startswith(f"{rate}-") for name in noted(tmp_path)) for rate in (0.9, 0.4, 0.41)}
    assert seeds[0.9] == 3
    assert seeds[0.4] == seeds[0.41] == undecided.seeds
    again = run(sweep, design)
    assert again.as_json() == end.as_json(), "the same command finds the same, and runs nothing"


def test_a_broken_off_sweep_goes_on_to_the_decisions_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETEND_NOISE", "0.9")
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for folder in (calm, stormy):
        folder.mkdir()
    sweep = opened(calm, at_most=4)
    undisturbed = run(sweep, design_for(sweep, "all-pairs", margin=40.0, at_most=4))

    sweep = opened(stormy, at_most=4)
    design = design_for(sweep, "all-pairs", margin=40.0, at_most=4)
    whole = LocalSweep.run
    breaks = iter([True, False, True, True])

    def broken(self: LocalSweep, *, wanted: Any, **more: Any) -> Any:
        """Run one point of a round only, as if a signal had come."""
        if next(breaks, False):
            progress, _ = whole(self, wanted=wanted[:1], **more)
            return progress, 15
        return whole(self, wanted=wanted, **more)

    monkeypatch.setattr(LocalSweep, "run", broken)
    ends = [run(opened(stormy, at_most=4), design) for _ in range(4)]
    end = ends[-1]
    assert end.signal is None
    assert end.decisions == undisturbed.decisions
    assert sorted(noted(stormy)) == sorted(noted(calm))


def test_failed_runs_are_replaced_by_further_seeds_and_named(tmp_path: Path) -> None:
    parameters = {"optimizer.lr": {"values": [0.9, 0.4]}, "seed": {"values": [0, 13, 66]}}
    sweep = opened(tmp_path, parameters, at_most=6)
    end = run(sweep, design_for(sweep))
    assert [d.higher for d in end.decisions] == ["lr=0.9"]
    assert end.failed == {"lr=0.9": 2, "lr=0.4": 2}
    assert "lr=0.9: 2 of its runs failed, and its pairs rest on the others" in end.as_text()


def test_the_file_beside_the_runs_says_how_the_seeds_were_chosen(tmp_path: Path) -> None:
    """A report has no ledger. Before: it took all seeds as planned ones. A later plain run does not forget it."""
    sweep = opened(tmp_path)
    end = run(sweep, design_for(sweep, "against=lr=0.4", margin=40.0))
    assert "lr=0.4 and lr=0.41: equivalent within 40 points, after 3 seeds" in end.as_text()
    kept = tmp_path / "s" / "s.yaml"
    assert read_sweep(kept).header.until == Until("against", "lr=0.4", 3, 6, 40.0)
    open_sweep(tmp_path / "s.yaml", runs=tmp_path).run(jobs=1, devices=["auto"], watch=lambda _: None)
    assert read_sweep(kept).header.until == Until("against", "lr=0.4", 3, 6, 40.0)
    assert read_sweep(tmp_path / "s.yaml").header.until is None, "your own file stays as it is"


def test_a_control_may_be_a_choice_and_each_is_compared_with_the_one_that_is_the_same_in_all_else(
    tmp_path: Path,
) -> None:
    """Before: `'constant' is no configuration`, although a file's `# Control:` may be a choice."""
    rates = {"optimizer.lr": {"values": [0.9, 0.4]}, "schedule.name": {"values": ["cosine", "constant", "linear"]}}
    sweep = opened(tmp_path, {**rates, "seed": {"values": [0, 1]}}, at_most=4)
    design = design_for(sweep, "against=constant", at_most=4)
    end = run(sweep, design)
    assert {frozenset((each.a, each.b)) for each in end.decisions} == {
        frozenset((f"{other}, lr={rate}", f"constant, lr={rate}"))
        for other in ("cosine", "linear")
        for rate in (0.9, 0.4)
    }
    assert end.design["control"] == "constant" and "against" not in end.design
    turned = {key: {"values": [*reversed(each["values"])]} for key, each in rates.items()}
    again = opened(tmp_path, {**turned, "seed": {"values": [0, 1]}}, at_most=4)
    assert run(again, design_for(again, "against=constant", at_most=4)).runs == end.runs, "nothing is run anew"


@pytest.mark.parametrize(("asked", "margin"), [(None, 0.003), (0.5, 0.005)])
def test_the_margin_is_by_default_that_of_the_file(tmp_path: Path, asked: float | None, margin: float) -> None:
    opened(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(f"# Which one?\n# Margin:   0.3\n{path.read_text()}")
    sweep = open_sweep(path, runs=tmp_path / "more")
    assert design_for(sweep, margin=asked).margin == pytest.approx(margin)


def test_another_design_is_refused_once_a_sweep_has_begun(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    run(sweep, design_for(sweep))
    with pytest.raises(SweepError, match=r"with margin None, not 0\.01; a design that changes errs more often"):
        run(sweep, design_for(sweep, margin=1.0))


def test_what_a_machine_had_that_has_died_is_run_by_another_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: a controller that had nothing else to do waited for ever."""
    monkeypatch.setattr(storage, "LOST_SECONDS", 1)
    monkeypatch.setattr(decided, "_PATIENCE_SECONDS", 0.1)
    shared, path = f"sqlite:///{tmp_path}/shared.db", write_sweep(tmp_path, THREE)
    sweep = open_sweep(path, runs=tmp_path / "a", storage=shared, plan=plan_for(Plan(), Design(at_most=6)))
    lost = next(entry for entry in sweep.entries if entry.point.values == {"optimizer.lr": 0.9, "seed": 0})
    with Ledger(sweep.checked.sweep, tmp_path / "b" / "s", shared, overrides=[]) as other:
        other.enqueue([lost])
        assert other.claim(lambda _: lost)
    end = run(sweep, design_for(sweep))
    states = {each.state for status in end.progress.points for each in status.attempts if status.point == lost.point}
    assert states == {"interrupted", "finished"}


def test_a_sweep_that_is_refused_has_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    sweep = open_sweep(write_sweep(tmp_path, THREE), ["sink.trackio.mode=local"], runs=tmp_path)
    with pytest.raises(ConfigError, match="trackio is not installed"):
        run(sweep, design_for(sweep))
    assert not (tmp_path / "s").exists(), "before: it was begun with this override, and refused without it"


def test_another_number_of_configurations_is_another_design(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    run(sweep, design_for(sweep))
    more = opened(tmp_path, {**THREE, "optimizer.lr": {"values": [0.3, 0.9, 0.4, 0.41]}})
    with pytest.raises(SweepError, match=r"s: was begun without configurations lr=0\.3; a design that changes errs"):
        run(more, design_for(more))
    turned = opened(tmp_path, {**THREE, "optimizer.lr": {"values": [0.41, 0.4, 0.9]}})
    assert run(turned, design_for(turned)).runs == 9, "the order in the file changes no decision"
    later = opened(tmp_path, {**THREE, "seed": {"values": [2, 1, 0]}})
    with pytest.raises(SweepError, match="was begun with seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, in this order; a design"):
        run(later, design_for(later))


def test_looks_are_taken_in_the_order_of_the_seeds_whichever_ran_first(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    end = run(sweep, design_for(sweep, "all-pairs"))
    for plan in (Plan("shuffled"), Plan("grid"), Plan(first=("seed=4", "optimizer.lr=0.41"))):
        again = opened(tmp_path, plan=plan)
        assert run(again, design_for(again, "all-pairs")).as_json() == end.as_json()


def test_a_failed_run_does_not_keep_a_configuration_from_its_last_look(tmp_path: Path) -> None:
    parameters = {"optimizer.lr": {"values": [0.4, 0.401]}, "seed": {"values": [0, 13, 1]}}
    sweep = opened(tmp_path, parameters, at_most=4)
    end = run(sweep, design_for(sweep, at_most=4))
    assert [(d.verdict, d.seeds) for d in end.decisions] == [("open", 4)]
    assert (end.failed, end.open, end.runs) == ({"lr=0.4": 1, "lr=0.401": 1}, (), 10)
    known = open_sweep(tmp_path / "s.yaml", runs=tmp_path).progress()
    assert known.total == 10, "later commands know the seeds that were needed, and no spare ones"


def test_runs_at_chance_are_in_no_look_as_they_are_in_no_table(tmp_path: Path) -> None:
    sweep = opened(tmp_path, {**THREE, "optimizer.lr": {"values": [0.9, 0.4, 0.001]}})
    end = run(sweep, design_for(sweep))
    assert end.failed == {"lr=0.001": 9}
    assert {(d.a, d.b): d.verdict for d in end.decisions} == {
        ("lr=0.9", "lr=0.4"): "different",
        ("lr=0.9", "lr=0.001"): "open",
        ("lr=0.4", "lr=0.001"): "open",
    }


def test_the_file_s_seeds_come_first_and_the_next_numbers_follow(tmp_path: Path) -> None:
    sweep = read_sweep(write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1]}, "seed": {"values": [7, 3]}}))
    assert Plan(count=4).seeds_for(sweep) == (7, 3, 8, 9)
    assert Plan(count=1).seeds_for(sweep) == (7,)
    sweep = read_sweep(write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1]}}))
    assert Plan(count=2).seeds_for(sweep) == (0, 1)


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("bets", "--question: 'bets' is not a question; did you mean 'best'"),
        ("best=lr=0.4", "is not a question"),
        ("against", r"--question: against what\? Write against=LABEL, such as against=lr=0\.9"),
        ("against=lr=0.42", "--question: 'lr=0.42' is no configuration or choice; did you mean 'lr=0.4"),
    ],
)
def test_a_question_that_is_none_is_refused(tmp_path: Path, question: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        design_for(opened(tmp_path), question)


@pytest.mark.parametrize(
    ("parameters", "more", "line"),
    [
        ({"optimizer.lr": {"value": 0.1}, "seed": {"values": [0, 1]}}, {}, "has one configuration"),
        (THREE, {"metric": None}, "names no metric"),
        (THREE, {"metric": {"name": "val/accuracy"}}, "metric.name: val/accuracy needs a validation set"),
        (THREE, {"metric": {"name": "foo/bar"}}, "metric.name: the trainer does not log 'foo/bar'"),
        (THREE, {"run_cap": 5}, "has run_cap, which ends seeds, too"),
        (
            THREE,
            {"early_terminate": {"type": "hyperband", "min_iter": 2}},
            "has early_terminate, which ends",
        ),
        ({"optimizer.lr": {"min": 0.1, "max": 0.2}}, {"method": "random", "run_cap": 3}, "is a random search"),
    ],
)
def test_a_sweep_that_asks_nothing_of_this_kind_is_refused(
    tmp_path: Path, parameters: dict[str, Any], more: dict[str, Any], line: str
) -> None:
    path = write_sweep(tmp_path, parameters, **more)
    if more.get("metric", 1) is None:
        path.write_text(path.read_text().replace("metric: null\n", ""))
    with pytest.raises(SweepError, match=line):
        design_for(open_sweep(path, runs=tmp_path))


def test_a_metric_that_no_run_has_ends_the_sweep_after_its_first_runs(tmp_path: Path) -> None:
    own = {**THREE, "probe.extra.name": {"value": "none"}}  # such a probe may log any metric
    sweep = opened(tmp_path, own, metric={"name": "own/sharpness", "goal": "minimize"})
    with pytest.raises(SweepError, match=r"own/sharpness is in none of 9 finished runs of s"):
        run(sweep, design_for(sweep))
    assert len(noted(tmp_path)) == 9, "the first seeds"
