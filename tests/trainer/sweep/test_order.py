"""In which order points run, and which seeds they have."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import run_here
from pretend import server
from pretend.controller import run
from pretend.train import main
from pretend.watch import noted, write_sweep

from trainer.errors import SweepError
from trainer.sweep import local
from trainer.sweep.engine import Engine
from trainer.sweep.file import read_sweep
from trainer.sweep.local import open_sweep, progress_here
from trainer.sweep.order import Plan, read_order, read_seeds, with_seeds
from trainer.sweep.points import points_of

TWO_RATES = {"optimizer.lr": {"values": [0.1, 0.01]}, "seed": {"values": [0, 1]}}


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let local sweeps run pretended training."""

    server.ready()
    monkeypatch.setattr(local, "Engine", partial(Engine, target=main))


def test_every_configuration_runs_once_before_any_runs_again(tmp_path: Path) -> None:
    run(write_sweep(tmp_path), tmp_path)
    assert noted(tmp_path) == ["0.1-s0", "0.01-s0", "0.001-s0", "0.1-s1", "0.01-s1", "0.001-s1"]


def test_what_is_wanted_first_runs_first(tmp_path: Path) -> None:
    run(write_sweep(tmp_path), tmp_path, plan=Plan(first=("seed=1", "optimizer.lr=0.001")))
    assert noted(tmp_path) == ["0.001-s0", "0.1-s1", "0.01-s1", "0.001-s1", "0.1-s0", "0.01-s0"]


def test_only_what_has_a_value_runs(tmp_path: Path) -> None:
    run(write_sweep(tmp_path), tmp_path, plan=Plan(only=("seed=1", "optimizer.lr=0.001", "optimizer.lr=0.1")))
    assert noted(tmp_path) == ["0.1-s1", "0.001-s1"]


def test_a_shuffled_order_is_the_same_each_time_and_not_that_of_the_grid(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        run(write_sweep(tmp_path), tmp_path / name, plan=Plan("shuffled"))
        seen.append(noted(tmp_path / name))
    assert seen[0] == seen[1] != ["0.1-s0", "0.1-s1", "0.01-s0", "0.01-s1", "0.001-s0", "0.001-s1"]


def test_another_order_counts_for_what_an_earlier_controller_left_waiting(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0, 13, 2]}})
    sweep = read_sweep(path)
    with local.Ledger(sweep, tmp_path / "s", None, overrides=[]) as ledger:
        ledger.enqueue(open_sweep(path, runs=tmp_path).entries)
        reverse = open_sweep(path, runs=tmp_path, plan=Plan(first=("seed=2",))).entries
    with local.Ledger(sweep, tmp_path / "s", None, overrides=[]) as ledger:
        ledger.enqueue(reverse)
        claim = ledger.claim(lambda _: reverse[0])
    assert claim
    assert claim.point.values == {"seed": 2}


@pytest.mark.usefixtures("pretended")
def test_seeds_are_added_to_a_sweep_that_is_under_way_and_later_commands_know_them(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, TWO_RATES)
    here: Any = {"devices": ["auto"], "jobs": 2, "watch": lambda _: None}
    one = open_sweep(path, runs=tmp_path, plan=Plan(seeds=(1,)))
    progress, _ = one.run(**here)
    assert (progress.count("finished"), progress.total, one.left(progress)) == (2, 4, 0)
    more = open_sweep(path, runs=tmp_path, plan=Plan(seeds=(1, 7)))
    progress, _ = more.run(**here)
    assert (progress.count("finished"), progress.total, progress.foreign) == (4, 6, ())
    assert progress_here(path, runs=tmp_path, storage=None).total == 6
    progress, _ = open_sweep(path, runs=tmp_path).run(**here)
    assert progress.complete
    assert sorted(status.point.values["seed"] for status in progress.points) == [0, 0, 1, 1, 7, 7]


@pytest.mark.usefixtures("pretended")
def test_what_ran_without_a_seed_is_seed_0_once_there_are_seeds(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1, 0.01]}})
    here: Any = {"devices": ["auto"], "jobs": 1, "watch": lambda _: None}
    assert open_sweep(path, runs=tmp_path).run(**here)[0].complete
    progress, _ = open_sweep(path, runs=tmp_path, plan=Plan(seeds=(0, 1))).run(**here)
    assert (progress.count("finished"), progress.total, progress.foreign) == (4, 4, ())
    assert [run.rpartition("-")[0] for run in noted(tmp_path)] == ["0.1", "0.01", "0.1-s1", "0.01-s1"]


def test_what_was_interrupted_without_a_seed_goes_on_in_its_folder(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1]}})
    before, after = (open_sweep(path, runs=tmp_path, plan=Plan(seeds=seeds)) for seeds in ((), (0, 1)))
    with before._begun() as ledger:
        ledger.enqueue(before.entries)
        claim = ledger.claim(lambda _: before.entries[0])
        assert claim
        ledger.finish(claim, "interrupted")
    with after._begun() as ledger:
        ledger.enqueue(after.entries)
        again = ledger.claim(lambda _: after.entries[0])
    assert again and (again.run, again.point.values["seed"]) == (claim.run, 0)


def test_a_sweep_without_seeds_gets_them(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1, 0.01]}})
    entries = open_sweep(path, runs=tmp_path, plan=Plan(seeds=(3, 4))).entries
    assert [entry.point.values["seed"] for entry in entries] == [3, 3, 4, 4]


@pytest.mark.parametrize(
    ("parameters", "cap", "points"),
    [
        (TWO_RATES, 4, [(0.1, 0), (0.1, 1), (0.01, 0), (0.01, 1), (0.1, 5), (0.01, 5), (0.1, 6), (0.01, 6)]),
        (TWO_RATES, 2, [(0.1, 0), (0.1, 1), (0.1, 5), (0.1, 6)]),
        ({"optimizer.lr": {"values": [0.1, 0.01, 0.001]}}, 2, [(0.1, 5), (0.01, 5), (0.1, 6), (0.01, 6)]),
    ],
)
def test_more_seeds_add_points_to_what_run_cap_leaves_and_take_none_away(
    tmp_path: Path, parameters: dict[str, Any], cap: int, points: list[tuple[float, int]]
) -> None:
    """Before: run_cap counted the new seeds, too, and dropped the last configurations for them."""
    sweep = read_sweep(write_sweep(tmp_path, parameters, run_cap=cap))
    for more in ([5, 6], [5]):
        sweep = with_seeds(sweep, more)
    values = [(point.values["optimizer.lr"], point.values["seed"]) for point in points_of(sweep)]
    assert values == points


def test_seeds_that_are_a_range_are_kept(tmp_path: Path) -> None:
    """Before: they were forgotten, and a sweep until decided began at seed 0."""
    rates = {"optimizer.lr": {"values": [0.1, 0.01]}}
    sweep = read_sweep(write_sweep(tmp_path, {**rates, "seed": {"min": 5, "max": 7}}))
    assert with_seeds(sweep, [10, 6]).space["seed"].choices == [5, 6, 7, 10]
    assert Plan(count=5).seeds_for(sweep) == (5, 6, 7, 8, 9)
    endless = read_sweep(write_sweep(tmp_path, {**rates, "seed": {"min": 0, "max": 2**62}}, run_cap=4))
    with pytest.raises(SweepError, match=r"parameters.seed: [\d,]+ seeds, to which none are added; list fewer"):
        with_seeds(endless, [1])


@pytest.mark.parametrize(("text", "seeds"), [("0-3", (0, 1, 2, 3)), ("7", (7,)), ("0-1, 5,1", (0, 1, 5))])
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "0-", "1,,2", "0-99999999", "1.5"])
def test_what_names_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(SweepError, match=r"--seeds: '.*': expected seeds, such as 0-4 or 0-4,7"):
        read_seeds(text)


@pytest.mark.usefixtures("pretended")
def test_the_time_that_is_left_is_that_of_the_part_that_runs(tmp_path: Path) -> None:
    """Before: of the whole file, which this command does not run."""
    seen: list[Any] = []
    part = open_sweep(write_sweep(tmp_path, TWO_RATES), runs=tmp_path, plan=Plan(only=("seed=1",)))
    part.run(devices=["auto"], jobs=1, watch=seen.append)
    assert seen[-1].seconds_left == 0


def test_an_order_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(SweepError, match="--order: 'seed-first' is not an order; did you mean 'seeds-first'"):
        read_order("seed-first")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("optimizer.rl=0.1", r"--first: optimizer.rl: .* does not vary it; did you mean 'optimizer.lr'\?"),
        ("train.epochs=3", r"--first: train.epochs: .* does not vary it; one of optimizer.lr, seed"),
        ("optimizer.lr=0.5", r"--first: optimizer.lr=0.5: .* has no such point; did you mean '0.1'\?|one of 0.01, 0.1"),
    ],
)
def test_a_wish_for_what_is_no_point_is_refused(tmp_path: Path, word: str, line: str) -> None:
    with pytest.raises(SweepError, match=line):
        open_sweep(write_sweep(tmp_path, TWO_RATES), runs=tmp_path, plan=Plan(first=(word,)))
    with pytest.raises(SweepError, match=line.replace("--first", "--only")):
        open_sweep(write_sweep(tmp_path, TWO_RATES), runs=tmp_path, plan=Plan(only=(word,)))


def test_a_part_without_a_point_is_refused(tmp_path: Path) -> None:
    """A random search has no point for every pair of values. Before: nothing ran, and nothing was said."""
    rates = {"optimizer.lr": {"values": [0.1, 0.2, 0.3]}, "seed": {"values": [0, 1, 2, 3, 4, 5, 6, 7]}}
    path = write_sweep(tmp_path, rates, method="random", run_cap=5)
    there = {(e.point.values["optimizer.lr"], e.point.values["seed"]) for e in open_sweep(path, runs=tmp_path).entries}
    rate, seed = next(
        (rate, seed) for rate, _ in sorted(there) for _, seed in sorted(there) if (rate, seed) not in there
    )
    with pytest.raises(SweepError, match="has no point with all of"):
        open_sweep(path, runs=tmp_path, plan=Plan(only=(f"optimizer.lr={rate}", f"seed={seed}")))


def test_a_part_of_the_seeds_that_run_is_one_of_these(tmp_path: Path) -> None:
    plan = Plan(seeds=(1,), only=("seed=0",))
    with pytest.raises(SweepError, match=r"--only: seed=0: .* has no such point"):
        open_sweep(write_sweep(tmp_path, TWO_RATES), runs=tmp_path, plan=plan)


def test_seeds_of_a_search_and_of_a_command_are_refused(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"optimizer.lr": {"min": 0.1, "max": 0.2}}, method="random", run_cap=3)
    with pytest.raises(SweepError, match="is a random search and draws its seeds; it is for grid"):
        with_seeds(read_sweep(path), [1])
    command = ["${env}", "trainer", "train", "seed=3", "${args_no_hyphens}"]
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1]}}, command=command)
    with pytest.raises(SweepError, match=r"the command of .* sets the seed, too"):
        with_seeds(read_sweep(path), [1])


@pytest.mark.usefixtures("pretended")
def test_what_another_command_runs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before: nothing but the table, with an exit code of 0."""
    path = write_sweep(tmp_path, {"optimizer.lr": {"values": [0.1, 0.01]}})
    other = open_sweep(path, runs=tmp_path)
    with other._begun() as ledger:
        ledger.enqueue(other.entries)
        assert ledger.claim(lambda _: other.entries[0])
        assert run_here(["sweep", "run", str(path), "--runs", str(tmp_path)]) == 0
    assert "1 point is still run by another command or machine" in capsys.readouterr().err
