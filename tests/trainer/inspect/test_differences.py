"""Tests of differences, compared with scipy's and with numbers by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from trainer.inspect.comparison import as_text
from trainer.inspect.differences import config_differences, mcnemar, welch_between_groups
from trainer.runs.history import History


def history(name: str, accuracy: float | None = None, **config: Any) -> History:
    summary = {} if accuracy is None else {"status": "finished", "headline/accuracy": accuracy}
    return History(Path(name), {key.replace("__", "."): value for key, value in config.items()}, [], summary, [])


@pytest.mark.parametrize(
    ("both", "first", "second", "neither"), [(50, 9, 2, 3), (10, 4, 4, 0), (0, 0, 7, 1), (5, 60, 41, 9)]
)
def test_mcnemar_is_the_binomial_test_of_the_disagreements(both: int, first: int, second: int, neither: int) -> None:
    right = torch.tensor([True] * (both + first) + [False] * (second + neither))
    other = torch.tensor([True] * both + [False] * first + [True] * second + [False] * neither)
    found = mcnemar(right, other)
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (both, first, second, neither)
    assert found.p == pytest.approx(stats.binomtest(first, first + second, 0.5).pvalue, rel=1e-9)


def test_networks_that_never_disagree_do_not_differ() -> None:
    assert mcnemar(torch.tensor([True, False]), torch.tensor([True, False])).p == 1


def test_only_keys_that_differ_are_shown() -> None:
    one = history("a", optimizer__lr=0.1, seed=0, sink__wandb__mode="offline")
    other = history("b", optimizer__lr=0.1, seed=1, optimizer__momentum=0.9, sink__wandb__mode="disabled")
    assert config_differences([one, other]) == {"optimizer.momentum": ["absent", 0.9], "seed": [0, 1]}


def test_welch_between_groups_of_seeds_is_scipys() -> None:
    accuracies = {"sgd": [0.90, 0.91, 0.93], "adam": [0.88, 0.89, 0.895, 0.87]}
    runs = [
        history(f"{name}{seed}", accuracy, optimizer__name=name, seed=seed)
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    found = welch_between_groups(runs)
    assert found is not None
    expected: Any = stats.ttest_ind(accuracies["sgd"], accuracies["adam"], equal_var=False)
    (pair,) = found["pairs"]
    assert pair["difference"]["p"] == pytest.approx(expected.pvalue)


def test_a_run_at_chance_is_named_and_not_counted() -> None:
    """Before: it was averaged with the others."""
    reached = {1: [0.9, 0.91, 0.92, 0.1], 2: [0.8, 0.81, 0.82]}
    runs = [
        history(f"{lr}-{seed}", accuracy, lr=lr, seed=seed, data__name="cifar10")
        for lr, values in reached.items()
        for seed, accuracy in enumerate(values)
    ]
    for run in runs:
        run.summary["test/accuracy"] = run.summary["headline/accuracy"]
    found = welch_between_groups(runs)
    assert found and [len(sample) for sample in found["groups"].values()] == [3, 3]
    assert found["at_chance"] == ["1-3"]
    said = as_text({"runs": [], "config": {}, "results": {}, "mcnemar": None, "welch": found})
    assert said.endswith("not counted: 1-3 is at chance")


def test_two_single_runs_cannot_be_tested() -> None:
    assert welch_between_groups([history("a", 0.9, lr=1, seed=0), history("b", 0.8, lr=2, seed=0)]) is None


def test_a_repeated_seed_is_named_and_not_counted() -> None:
    runs = [history(f"{lr}{seed}", 0.9 + seed / 100, lr=lr, seed=seed) for lr in (1, 2) for seed in (0, 1)]
    test = welch_between_groups([*runs, history("again", 0.1, lr=1, seed=0)])
    assert test is not None and [list(sample) for sample in test["groups"].values()] == [[0, 1], [0, 1]]
    comparison = {"runs": [run.name for run in runs], "config": {}, "results": {}, "mcnemar": None, "welch": test}
    assert as_text(comparison).splitlines()[-1] == "not counted: again repeats seed 0 of 10"


@pytest.mark.parametrize("status", ["diverged", "interrupted", "stopped", "failed"])
def test_only_finished_runs_count(status: str) -> None:
    runs = [history(f"{lr}{seed}", 0.9 + seed / 100, lr=lr, seed=seed) for lr in (1, 2) for seed in (0, 1, 2)]
    runs[-1].summary.update({"status": status, "headline/accuracy": 0.1})
    found = welch_between_groups(runs)
    assert found is not None and [list(sample) for sample in found["groups"].values()] == [[0, 1, 2], [0, 1]]
