"""Seeds until decided, over pretended training."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pretend.train import main
from pretend.watch import noted, write_sweep

from trainer.errors import SweepError, UserError
from trainer.statistics.sequential import Design
from trainer.sweep import child, engine, local
from trainer.sweep.decided import Decided, design_of, run_until_decided, seeds_for
from trainer.sweep.file import read_sweep
from trainer.sweep.header import Until
from trainer.sweep.local import LocalSweep, open_sweep
from trainer.sweep.order import Plan

THREE = {"optimizer.lr": {"values": [0.9, 0.1, 0.11]}, "seed": {"values": [0, 1]}}
WISH: dict[str, Any] = {"question": "best", "at_least": 3, "at_most": 6, "margin": None}


@pytest.fixture(autouse=True)
def _pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    child.warm_up(["pretend.train"])
    monkeypatch.setattr(local, "Engine", partial(engine.Engine, target=main))
    monkeypatch.setenv("PRETEND_NOISE", "0.1")
    monkeypatch.setenv("PRETEND_SECONDS", "0.01")


def opened(folder: Path, parameters: dict[str, Any] = THREE, at_most: int = 6, **more: Any) -> LocalSweep:
    path = write_sweep(folder, parameters, **more)
    return open_sweep(path, runs=folder, plan=Plan(seeds=seeds_for(open_sweep(path, runs=folder), at_most)))


def run(sweep: LocalSweep, design: Design, **more: Any) -> Decided:
    said: dict[str, Any] = {"jobs": 2, "devices": ["auto"], "watch": lambda _: None, "say": lambda _: None}
    return run_until_decided(sweep, design, **{**said, **more})


def test_a_beaten_configuration_gets_no_further_seed(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    design, _ = design_of(sweep, **WISH)
    end = run(sweep, design)
    of = {(d.a, d.b): d.higher for d in end.decisions}
    assert (of["lr=0.9", "lr=0.1"], of["lr=0.9", "lr=0.11"]) == ("lr=0.9", "lr=0.9")
    assert end.open == ()
    assert end.runs == 9, "three seeds of each are enough where one leads by far"
    assert f"{end.runs} runs, where 6 seeds for each configuration are 18" in end.as_text()
    assert "lr=0.9 is higher than lr=0.1: different, after 3 seeds" in end.as_text()


def test_what_is_in_question_gets_seeds_until_they_are_spent(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    design, _ = design_of(sweep, **{**WISH, "question": "all-pairs"})
    end = run(sweep, design)
    undecided = next(d for d in end.decisions if (d.a, d.b) == ("lr=0.1", "lr=0.11"))
    assert undecided.verdict in ("open", "different")
    seeds = {rate: sum(name.startswith(f"{rate}-") for name in noted(tmp_path)) for rate in (0.9, 0.1, 0.11)}
    assert seeds[0.9] == 3
    assert seeds[0.1] == seeds[0.11] == undecided.seeds
    again = run(sweep, design)
    assert again.as_json() == end.as_json(), "the same command finds the same, and runs nothing"


def test_a_broken_off_sweep_goes_on_to_the_decisions_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETEND_NOISE", "0.9")
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for folder in (calm, stormy):
        folder.mkdir()
    wish = {**WISH, "question": "all-pairs", "margin": 40.0, "at_most": 4}
    sweep = opened(calm, at_most=4)
    undisturbed = run(sweep, design_of(sweep, **wish)[0])

    sweep = opened(stormy, at_most=4)
    design, _ = design_of(sweep, **wish)
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
    parameters = {"optimizer.lr": {"values": [0.9, 0.1]}, "seed": {"values": [0, 13, 66]}}
    sweep = opened(tmp_path, parameters, at_most=6)
    end = run(sweep, design_of(sweep, **WISH)[0])
    assert [d.higher for d in end.decisions] == ["lr=0.9"]
    assert end.failed == {"lr=0.9": 2, "lr=0.1": 2}
    assert "lr=0.9: 2 of its runs failed, and its pairs rest on the others" in end.as_text()


def test_the_file_beside_the_runs_says_how_the_seeds_were_chosen(tmp_path: Path) -> None:
    """A report has no ledger. Before: it took all seeds as planned ones. A later plain run does not forget it."""
    sweep = opened(tmp_path)
    design, margin = design_of(sweep, **{**WISH, "question": "against=lr=0.1", "margin": 40.0})
    run(sweep, design, margin=margin)
    kept = tmp_path / "s" / "s.yaml"
    assert read_sweep(kept).header.until == Until("against", "lr=0.1", 3, 6, 40.0)
    open_sweep(tmp_path / "s.yaml", runs=tmp_path).run(jobs=1, devices=["auto"], watch=lambda _: None)
    assert read_sweep(kept).header.until == Until("against", "lr=0.1", 3, 6, 40.0)
    assert read_sweep(tmp_path / "s.yaml").header.until is None, "your own file stays as it is"


def test_another_design_is_refused_once_a_sweep_has_begun(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    run(sweep, design_of(sweep, **WISH)[0])
    with pytest.raises(SweepError, match=r"with margin None, not 0\.01; a design that changes errs more often"):
        run(sweep, design_of(sweep, **{**WISH, "margin": 1.0})[0])


def test_the_file_s_seeds_come_first_and_the_next_numbers_follow(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1]}, "seed": {"values": [7, 3]}})
    assert seeds_for(open_sweep(path, runs=tmp_path), 4) == (7, 3, 8, 9)
    assert seeds_for(open_sweep(path, runs=tmp_path), 1) == (7,)
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1]}})
    assert seeds_for(open_sweep(path, runs=tmp_path), 2) == (0, 1)


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ({"question": "bets"}, "--question: 'bets' is not a question; did you mean 'best'"),
        ({"question": "best=lr=0.1"}, "is not a question"),
        ({"question": "against"}, r"--question: against what\? Write against=LABEL, such as against=lr=0\.9"),
        ({"question": "against=lr=0.12"}, "--question: 'lr=0.12' is no configuration; did you mean 'lr=0.1"),
        ({"margin": 0.0}, "--margin: 0"),
        ({"margin": -1.0}, "--margin: -0.01: expected a difference above 0"),
        ({"at_most": 2}, "--at-most: 2 is under --at-least 3"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(tmp_path: Path, wish: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        design_of(opened(tmp_path), **{**WISH, **wish})


@pytest.mark.parametrize(
    ("parameters", "more", "line"),
    [
        ({"optimizer.lr": {"value": 0.1}, "seed": {"values": [0, 1]}}, {}, "has one configuration"),
        (THREE, {"metric": None}, "names no metric"),
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
        design_of(open_sweep(path, runs=tmp_path), **WISH)
