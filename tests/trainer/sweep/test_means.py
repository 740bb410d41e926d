"""Searches over means: which points get more seeds, what the sampler is told, and what the file may say."""

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from pretend.controller import run
from pretend.watch import noted, write_sweep

from trainer.errors import ConfigError, SweepError
from trainer.sweep.check import check
from trainer.sweep.file import Metric, parse_sweep, read_sweep
from trainer.sweep.have import runs_in
from trainer.sweep.ledger import Claim, Ledger
from trainer.sweep.means import merged, next_seed
from trainer.sweep.points import Entry, Point
from trainer.sweep.search import propose
from trainer.sweep.status import Attempt, as_text, progress

SPACE = {"optimizer.lr": {"min": 0.1, "max": 1.0}}
RATES = "{optimizer.lr: {min: 0.1, max: 1}}"


def means_sweep(folder: Path, *, seeds: int = 3, method: str = "random", cap: int = 12, **more: Any) -> Path:
    path = write_sweep(folder, more.pop("parameters", SPACE), method=method, run_cap=cap, **more)
    path.write_text(f"# Which rate?\n# Seeds:    {seeds}\n{path.read_text()}")
    return path


def entry_of(point: Point) -> Entry:
    return Entry(point, f"lr-{point.values['optimizer.lr']:.6f}-s{point.values['seed']}", "0")


def searched(path: Path, folder: Path, value: Callable[[Point], float | None]) -> list[Claim]:
    """Run a search without any training, one run after another. None: the run diverges."""
    claims: list[Claim] = []
    with Ledger(read_sweep(path), folder, None, overrides=[]) as ledger:
        while claim := ledger.claim(entry_of):
            claims.append(claim)
            (folder / claim.run).mkdir()
            found = value(claim.point)
            ledger.finish(claim, "diverged" if found is None else "finished", found)
    return claims


def trial(rate: float, seed: int, value: float | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    point = {"optimizer.lr": rate, "seed": seed}
    attrs = {"run": f"{rate}-{seed}", "config": "0", "point": point}
    return create_trial(state=state, value=value, user_attrs=attrs)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_good_point_gets_all_its_seeds_and_a_bad_one_fewer(tmp_path: Path, method: str) -> None:
    claims = searched(means_sweep(tmp_path, method=method), tmp_path / "s", lambda point: point.values["optimizer.lr"])
    assert len(claims) == 12, "run_cap counts runs"
    seeds: dict[str, list[int]] = {}
    for claim in claims:
        seeds.setdefault(claim.point.configuration_key, []).append(claim.point.values["seed"])
    assert all(each == list(range(len(each))) for each in seeds.values())
    rates = {key: claim.point.values["optimizer.lr"] for claim in claims for key in [claim.point.configuration_key]}
    assert len(seeds[max(rates, key=lambda key: rates[key])]) == 3
    assert len(seeds[min(rates, key=lambda key: rates[key])]) < 3
    assert len(seeds) > 4, "what bad points leave is spent on new ones"


def test_a_random_search_of_means_draws_the_same_points_everywhere_and_a_larger_cap_adds_some(tmp_path: Path) -> None:
    def value(point: Point) -> float:
        return point.values["optimizer.lr"]

    first = searched(means_sweep(tmp_path, cap=8), tmp_path / "one", value)
    longer = searched(means_sweep(tmp_path, cap=14), tmp_path / "two", value)
    more = searched(means_sweep(tmp_path, cap=14), tmp_path / "one", value)
    assert [claim.point for claim in longer] == [claim.point for claim in (*first, *more)]


def test_a_failed_point_gets_no_more_seeds(tmp_path: Path) -> None:
    claims = searched(
        means_sweep(tmp_path), tmp_path / "s", lambda point: None if point.values["optimizer.lr"] > 0.5 else 0.5
    )
    counts = Counter(claim.point.values["optimizer.lr"] for claim in claims)
    assert all(count == 1 for rate, count in counts.items() if rate > 0.5)
    assert any(count == 3 for rate, count in counts.items() if rate <= 0.5)


def test_an_impossible_point_is_passed_over(tmp_path: Path) -> None:
    def picky(point: Point) -> Entry:
        if point.values["optimizer.lr"] > 0.5:
            raise ConfigError("optimizer.lr: no")
        return entry_of(point)

    with Ledger(read_sweep(means_sweep(tmp_path, cap=4)), tmp_path / "s", None, overrides=[]) as ledger:
        claims = [ledger.claim(picky) for _ in range(4)]
    assert all(claim and claim.point.values["optimizer.lr"] <= 0.5 for claim in claims)


@pytest.mark.parametrize(
    ("values", "due"),
    [
        ({1.0: [0.5]}, None),  # it waits for a second point
        ({1.0: [0.5], 2.0: [0.4]}, (1.0, 1)),
        ({1.0: [0.5, 0.3], 2.0: [0.4]}, None),  # the only one with two
        ({1.0: [0.5, 0.3], 2.0: [0.6, 0.4], 3.0: [0.1]}, (2.0, 2)),
        ({1.0: [0.5, 0.5, 0.5], 2.0: [0.4], 3.0: [0.45]}, None),  # one of three is the better half
        ({1.0: [0.5, 0.5, 0.5], 2.0: [0.4], 3.0: [0.45], 4.0: [0.1]}, (3.0, 1)),
        ({1.0: [0.5, 0.5, 0.5], 2.0: [0.4]}, None),
        ({1.0: [0.5, None]}, None),  # its second runs
    ],
)
def test_the_next_seed_goes_to_the_better_half(
    values: dict[float, list[float | None]], due: tuple[float, int] | None
) -> None:
    runs = [
        trial(rate, seed, value, TrialState.RUNNING if value is None else TrialState.COMPLETE)
        for rate, each in values.items()
        for seed, value in enumerate(each)
    ]
    goals: list[tuple[int, Literal["maximize", "minimize"]]] = [(1, "maximize"), (-1, "minimize")]
    for sign, goal in goals:
        signed = [trial(run.user_attrs["point"]["optimizer.lr"], run.user_attrs["point"]["seed"],
                        None if run.value is None else sign * run.value, run.state) for run in runs]  # fmt: skip
        found = next_seed(signed, Metric(name="x", goal=goal), seeds_per_point=3, no_more_points=False)
        assert (found and (found.like.user_attrs["point"]["optimizer.lr"], found.seed)) == due


@pytest.mark.parametrize(
    ("values", "due"),
    [({1.0: [0.5]}, (1.0, 1)), ({1.0: [0.5, 0.3], 2.0: [0.4]}, (1.0, 2)), ({1.0: [0.5] * 3, 2.0: [0.4]}, None)],
)
def test_without_new_points_the_best_gets_all_its_seeds(
    values: dict[float, list[float]], due: tuple[float, int] | None
) -> None:
    runs = [trial(rate, seed, value) for rate, each in values.items() for seed, value in enumerate(each)]
    found = next_seed(runs, Metric(name="x", goal="maximize"), seeds_per_point=3, no_more_points=True)
    assert (found and (found.like.user_attrs["point"]["optimizer.lr"], found.seed)) == due


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_small_space_is_searched_to_its_end_by_two_at_once(tmp_path: Path, method: str) -> None:
    """Before: an idle slot did not ask again, and the search ended with a seed still due."""
    parameters = {"optimizer.lr": {"values": [0.9, 0.1]}}
    path = means_sweep(tmp_path, method=method, cap=20, parameters=parameters)
    assert read_sweep(path).cap == 6, "two points of three seeds"
    found, _ = run(path, tmp_path, jobs=2)
    assert found.best_mean and found.best_mean[2] == 3
    assert f"{len(noted(tmp_path))} of at most 6 runs are done" in as_text(found)
    assert run(path, tmp_path)[0].points == found.points, "nothing is left"


def test_the_sampler_is_told_the_mean_of_each_point() -> None:
    runs = [
        trial(1.0, 0, 0.5),
        trial(2.0, 0, None, TrialState.RUNNING),
        trial(1.0, 1, 0.7),
        trial(1.0, 2, None, TrialState.RUNNING),
    ]
    told = merged(runs)
    assert [(each.state, each.value) for each in told] == [(TrialState.COMPLETE, 0.6), (TrialState.RUNNING, None)]


def test_the_best_is_a_mean_and_not_the_luckiest_seed(tmp_path: Path) -> None:
    sweep = read_sweep(means_sweep(tmp_path))
    values = {0.2: (0.5, 0.6, 0.7), 0.3: (0.9, 0.2, 0.3), 0.4: (0.95,)}
    attempts = [
        Attempt(Point({"optimizer.lr": rate, "seed": seed}), "finished", value, "r")
        for rate, each in values.items()
        for seed, value in enumerate(each)
    ]
    assert progress([], attempts, sweep=sweep).best_mean == ("lr=0.2", pytest.approx(0.6), 3)


def test_a_search_of_means_through_the_engine_two_at_once(tmp_path: Path) -> None:
    path = means_sweep(tmp_path, method="bayes", cap=8)
    found, _ = run(path, tmp_path, jobs=2)
    assert found.complete
    assert len(set(noted(tmp_path))) == len(noted(tmp_path)) == 8
    assert found.best_mean
    label, mean, seeds = found.best_mean
    values = [status.value or 0.0 for status in found.points if status.point.label(["optimizer.lr"]) == label]
    assert (fmean(values), len(values)) == (pytest.approx(mean), seeds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Seeds: 0", "# Seeds: 0: expected a whole number from 2 to 999"),
        ("# Seeds: many", "# Seeds: many: expected a whole number"),
        ("# Seed: 3", "did you mean 'Seeds'?"),
        ("# Seeds:", "# Seeds: it names nothing"),
    ],
)
def test_a_wrong_number_of_seeds_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(SweepError) as caught:
        parse_sweep(
            f"{text}\nmethod: random\nrun_cap: 3\nmetric: {{name: val/accuracy}}\nparameters: {RATES}", Path("s.yaml")
        )
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("method: grid\nparameters: {optimizer.lr: {values: [0.1]}}", "it is for random and bayes"),
        (
            "method: random\nparameters: {optimizer.lr: {values: [0.1, 0.2]}, seed: {value: 0}}",
            "the file sets the seed, too",
        ),
        (
            f"method: random\nparameters: {RATES}\ncommand: [trainer, train, seed=1, '${{args_no_hyphens}}']",
            "the file sets the seed, too",
        ),
    ],
)
def test_a_file_that_has_seeds_of_its_own_is_refused(rest: str, problem: str) -> None:
    text = f"# Seeds: 3\nrun_cap: 3\nmetric: {{name: val/accuracy, goal: maximize}}\n{rest}"
    with pytest.raises(SweepError, match=problem):
        parse_sweep(text, Path("s.yaml"))


def test_a_search_of_means_needs_a_metric() -> None:
    with pytest.raises(SweepError, match="metric: # Seeds needs it"):
        parse_sweep(f"# Seeds: 3\nmethod: random\nrun_cap: 3\nparameters: {RATES}", Path("s.yaml"))


def test_another_number_of_seeds_is_another_search(tmp_path: Path) -> None:
    searched(means_sweep(tmp_path, cap=2), tmp_path / "s", lambda _: 0.5)
    with pytest.raises(SweepError, match="was begun with seeds per point 3, not 4"):
        searched(means_sweep(tmp_path, seeds=4, cap=2), tmp_path / "s", lambda _: 0.5)


def test_it_takes_no_archive(tmp_path: Path) -> None:
    checked = check(read_sweep(means_sweep(tmp_path)))
    assert not checked.entries
    with pytest.raises(SweepError, match="this random search proposes its points as it runs"):
        runs_in([tmp_path / "x.jsonl.gz"], checked)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_mean_is_nearer_to_the_truth_than_the_luckiest_run(tmp_path: Path, method: str) -> None:
    """The last rows of the table in docs/simulations.md, with half of its searches."""
    one, three = ([_simulated(tmp_path, method, seeds=seeds, search=n) for n in range(100)] for seeds in (1, 3))
    assert fmean(lost for lost, _ in three) < fmean(lost for lost, _ in one)
    assert fmean(flattered for _, flattered in three) < 0.6 * fmean(flattered for _, flattered in one)


def _simulated(folder: Path, method: str, *, seeds: int, search: int, noise: float = 0.8) -> tuple[float, float]:
    """Return (how much worse the chosen point is than the best one, by how much its found value is too good)."""
    keys = {
        "optimizer.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 1.0},
        "optimizer.weight_decay": {"min": 0.0, "max": 1.0},
    }
    if seeds > 1:
        path = means_sweep(folder, seeds=seeds, method=method, cap=30, parameters=keys)
    else:
        path = write_sweep(folder, {**keys, "seed": {"value": 0}}, method=method, run_cap=30)
    sweep = parse_sweep(path.read_text(), Path(f"s{search}.yaml"))
    peak, luck = random.Random(search), random.Random(f"{method}{seeds}{search}")
    best = (peak.uniform(-3, 0), peak.uniform(0, 1))
    runs: list[FrozenTrial] = []
    found: dict[str, list[float]] = {}
    truth: dict[str, float] = {}
    for _ in range(30):
        proposal = propose(runs, sweep)
        if proposal is None:
            break
        values = proposal.point.values
        key = proposal.point.configuration_key
        truth[key] = (
            -((math.log10(values["optimizer.lr"]) - best[0]) ** 2) - (values["optimizer.weight_decay"] - best[1]) ** 2
        )
        value = truth[key] + luck.gauss(0, noise)
        found.setdefault(key, []).append(value)
        runs.append(
            create_trial(
                value=value,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                user_attrs={"run": str(len(runs)), "point": dict(values), "outcome": {"state": "finished"}},
            )
        )
    most = max(map(len, found.values()))
    mean, chosen = max((fmean(each), key) for key, each in found.items() if len(each) == most)
    return -truth[chosen], mean - truth[chosen]
