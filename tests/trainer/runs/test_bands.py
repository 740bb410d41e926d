"""Bands over sibling runs against numbers worked out by hand, and runs with problems."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.errors import CheckpointError
from trainer.runs.bands import bands, groups, loss_bands, probe_medians
from trainer.runs.history import History


def history(
    values: Sequence[float | None] | Mapping[int, float | None],
    *,
    lr: float,
    model: str = "vgg_a",
    seed: int = 0,
    key: str = "runs/loss",
    status: str = "finished",
    **config: Any,
) -> History:
    """A run whose metric `key` has these values at steps 0, 1, ... or at those given."""
    steps = values if isinstance(values, Mapping) else dict(enumerate(values))
    rows = [{"epoch": 0.0, "step": step, key: value} for step, value in steps.items()]
    known = {"optimizer.lr": lr, "seed": seed, "model.name": model, **config}
    return History(Path(f"runs/{model}-{lr:g}-{seed}"), known, rows, {"status": status} if status else {}, [])


def plain_bands(runs: list[History]) -> list[dict[str, Any]]:
    """As report dfbc says: cut all to the shortest, per step the smallest and largest over the runs."""
    shortest = min(len(run.rows) for run in runs)
    rows: list[dict[str, Any]] = []
    for group in sorted({(run.config["model.name"], run.config["seed"]) for run in runs}):
        ours = [run for run in runs if (run.config["model.name"], run.config["seed"]) == group]
        for step in range(shortest):
            values = [run.rows[step]["runs/loss"] for run in ours]
            mean = sum(values) / len(values)
            told = {"group": group[0], "seed": group[1], "step": step}
            rows.append({**told, "low": min(values), "mean": mean, "high": max(values)})
    return rows


def test_bands_equal_the_reports_recipe_written_plainly() -> None:
    draw = np.random.default_rng(0)
    runs = [
        history(draw.normal(2, 1, 20 + int(draw.integers(5))).tolist(), lr=lr, model=model, seed=seed)
        for model in ("vgg_a", "vgg_a_bn")
        for seed in (0, 1)
        for lr in (0.05, 0.1, 0.15)
    ]
    found, expected = loss_bands(runs), plain_bands(runs)
    told, numbers = ("group", "seed", "step"), ("low", "mean", "high")
    assert [[row[key] for key in told] for row in found] == [[row[key] for key in told] for row in expected]
    for key in numbers:
        np.testing.assert_allclose([row[key] for row in found], [row[key] for row in expected], rtol=1e-12)
    assert {tuple(row) for row in found} == {(*told, *numbers)}
    json.dumps(found)  # plain numbers


def test_width_area_and_level_of_a_wedge_are_those_of_the_triangle() -> None:
    runs = [history({0: 1.0, 30: 1.0, 60: 1.0}, lr=0.1), history({0: 1.0, 30: 2.0, 60: 3.0}, lr=0.2)]
    (band,) = bands(runs).bands
    assert (band.mean_width, band.area, band.mean_level) == (1.0, 60.0, 1.5)
    assert band.mean_high == 2.0
    assert band.rates == (0.1, 0.2)


def test_a_band_of_runs_that_agree_has_no_width() -> None:
    (band,) = bands([history([1.0, 2.0], lr=0.1), history([1.0, 2.0], lr=0.2)]).bands
    assert (band.mean_width, band.area, band.mean_level) == (0, 0, 1.5)


def test_it_may_begin_later_and_look_at_every_so_many_steps() -> None:
    runs = [history([float(step) for step in range(100)], lr=0.1), history([0.0] * 100, lr=0.2)]
    (band,) = bands(runs, from_step=20, gap=30).bands
    assert band.steps.tolist() == [30, 60, 90]
    assert band.high.tolist() == [30, 60, 90]


def test_all_runs_are_cut_to_the_shortest_and_it_is_named() -> None:
    runs = [history([1.0] * 9, lr=0.1), history([2.0] * 9, lr=0.2)]
    runs.append(history([1.0] * 4, lr=0.1, model="vgg_a_bn", status="interrupted"))
    runs.append(history([2.0] * 9, lr=0.2, model="vgg_a_bn"))
    found = bands(runs)
    assert [band.steps.tolist() for band in found.bands] == [[0, 1, 2, 3]] * 2
    assert found.notes == ("cut to step 3, the last step of vgg_a_bn, rate 0.1, seed 0 (vgg_a_bn-0.1-0): interrupted",)


@pytest.mark.parametrize("tail", [[None, None], [None], []])
def test_a_run_that_diverged_is_left_out_from_there_on_by_name_and_cuts_nothing(tail: list[None]) -> None:
    runs = [history([1.0] * 6, lr=0.1), history([2.0] * 6, lr=0.2)]
    runs.append(history([3.0, 9.0, *tail], lr=0.3, status="diverged"))
    found = bands(runs)
    (band,) = found.bands
    assert band.high.tolist() == [3, 9, 2, 2, 2, 2]
    assert band.mean.tolist() == [2, 4, 1.5, 1.5, 1.5, 1.5]
    assert (band.rates, band.diverged) == ((0.1, 0.2, 0.3), {0.3: 1})
    assert found.notes == ("diverged: vgg_a, rate 0.3, seed 0 (vgg_a-0.3-0), left out after step 1",)


def test_values_that_end_in_null_have_diverged_also_where_the_run_had_no_time_to_say_so() -> None:
    runs = [history([1.0] * 4, lr=0.1), history([2.0] * 4, lr=0.2), history([3.0, None], lr=0.3, status="")]
    (band,) = bands(runs).bands
    assert (band.high.tolist(), band.diverged) == ([3, 2, 2, 2], {0.3: 0})


def test_a_finished_run_whose_values_end_in_null_has_not_diverged() -> None:
    """Before: it was left out after step 1, as diverged. A cosine with a gradient of 0 is no number."""
    found = bands([history([1.0] * 4, lr=0.1), history([2.0, 2.0, None, None], lr=0.2), history([3.0] * 4, lr=0.3)])
    (band,) = found.bands
    assert (band.steps.tolist(), band.high.tolist(), band.diverged, found.notes) == ([0, 1], [3, 3], {}, ())


@pytest.mark.parametrize("huge", [10**30, 10**400])
def test_a_gap_beyond_all_steps_leaves_the_first_and_a_start_beyond_them_none(huge: int) -> None:
    """Before: numpy's OverflowError."""
    runs = [history([1.0] * 4, lr=0.1), history([2.0] * 4, lr=0.2)]
    assert bands(runs, gap=huge).bands[0].steps.tolist() == [0]
    assert bands(runs, from_step=huge).bands == ()


def test_a_null_that_is_followed_by_numbers_takes_its_step_out_of_the_band() -> None:
    (band,) = bands([history([1.0] * 4, lr=0.1), history([2.0, None, 2.0, 2.0], lr=0.2)]).bands
    assert (band.steps.tolist(), band.diverged) == ([0, 2, 3], {})


def test_a_band_ends_where_fewer_than_two_runs_are_left() -> None:
    runs = [history([1.0] * 6, lr=0.1), history([2.0, 2.0, None], lr=0.2, status="diverged")]
    assert bands(runs).bands[0].steps.tolist() == [0, 1]
    both = [history([1.0, None], lr=0.1, status="diverged"), history([2.0, 2.0, None], lr=0.2, status="diverged")]
    assert bands(both).bands[0].steps.tolist() == [0]
    none = [history([1.0] * 6, lr=0.1), history([None], lr=0.2, status="diverged")]
    assert bands(none).bands == ()
    assert bands(none).notes[-1] == "vgg_a, seed 0: no step of runs/loss is in two runs, so there is no band"


def test_what_is_missing_or_repeated_is_named() -> None:
    runs = [history([1.0, 1.0], lr=lr, seed=seed) for seed in (0, 1) for lr in (0.1, 0.2)]
    runs += [history([5.0, 5.0], lr=0.1), history([1.0, 1.0], lr=0.3), history([], lr=0.4)]
    runs += [history([1.0, 1.0], lr=0.1, model="lenet5")]
    found = bands(runs)
    assert [(band.group, band.seed, band.mean_width) for band in found.bands] == [("vgg_a", 0, 0), ("vgg_a", 1, 0)]
    assert found.notes == (
        "no row has runs/loss: vgg_a, rate 0.4, seed 0 (vgg_a-0.4-0)",
        "seed run twice: vgg_a, rate 0.1, seed 0 (vgg_a-0.1-0) counts, vgg_a-0.1-0 does not",
        "lenet5: no run at rate 0.2, 0.3, which another group has",
        "lenet5, seed 0: one rate is not enough for a band",
        "vgg_a, seed 1: no run at rate 0.3",
    )


def test_a_run_without_a_learning_rate_is_left_out_by_name() -> None:
    runs = [history([1.0, 1.0], lr=lr) for lr in (0.1, 0.2, 0.3)]
    foreign = [
        replace(runs[2], config={"model.name": "vgg_a", "seed": 0, **more}) for more in ({}, {"optimizer.lr": "a"})
    ]
    said = "runs/vgg_a-0.3-0: no learning rate (optimizer.lr) in its config.yaml, so it is left out"
    for run in foreign:
        found = bands([*runs[:2], run])
        assert said in found.notes and runs[0].config["optimizer.lr"] in found.bands[0].rates
        with pytest.raises(CheckpointError, match=r"vgg_a-0\.3-0: no learning rate"):
            bands([run])


def test_runs_without_the_metric_are_one_line_with_the_cure() -> None:
    trained = [history([1.0], lr=lr, key="train/loss") for lr in (0.1, 0.2)]
    with pytest.raises(CheckpointError, match=r"and 1 more: no row has runs/loss; train with probe.drift.every=1$"):
        bands(trained)
    with pytest.raises(CheckpointError, match=r"no row has probe/beta; train with probe.walk.every=30$"):
        bands(trained, "probe/beta")
    with pytest.raises(CheckpointError, match=r"no row has train/los; did you mean 'train/loss'\?"):
        bands(trained, "train/los")
    with pytest.raises(CheckpointError, match=r"no row has runs/lost; did you mean 'runs/loss'\?"):
        bands([history([1.0], lr=0.1)], "runs/lost")


def test_groups_are_named_by_what_differs_except_rate_and_seed() -> None:
    def labels(*configs: dict[str, Any]) -> list[str]:
        return groups([history([], lr=0.1 * i, seed=i, **config) for i, config in enumerate(configs, 1)])

    assert labels({}, {}) == ["vgg_a", "vgg_a"]
    bn: dict[str, Any] = {"model": "vgg_a_bn", "model.norm_eps": 1e-5}
    assert labels({}, bn) == ["vgg_a", "vgg_a_bn"]  # the network's name says the other key too
    dropout = {"model.dropout": 0.5}
    assert labels(bn, bn | dropout) == ["dropout=null", "dropout=0.5"]
    assert labels({}, bn, bn | dropout) == [
        "vgg_a, dropout=null",
        "vgg_a_bn, dropout=null",
        "vgg_a_bn, dropout=0.5",
    ]
    assert labels({"train.order": ["a"]}, {"train.order": ["b"]}) == ["order=[a]", "order=[b]"]
    assert labels({"optimizer.name": "sgd"}, {"optimizer.name": "adam", "optimizer.eps": 1e-8}) == ["sgd", "adam"]
    elsewhere = {"sink.wandb.mode": "offline", "data.root": "/data", "probe.walk.every": 30}
    assert labels({}, elsewhere) == ["vgg_a", "vgg_a"]


def test_the_papers_numbers_are_medians_over_rates_steps_and_layers() -> None:
    runs = [
        history([1.0, 2.0, 9.0], lr=0.1, key="probe/beta"),
        history([4.0, None], lr=0.2, key="probe/beta"),
        history([3.0, 5.0], lr=0.1, key="probe/shift_l2/conv1", model="vgg_a_bn"),
        history([7.0], lr=0.2, key="probe/shift_l2/conv2", model="vgg_a_bn"),
        history([6.0], lr=0.1, seed=1, key="probe/beta"),
        history([0.5], lr=0.1),
    ]
    assert probe_medians(runs) == {
        ("vgg_a", 0, "probe/beta"): 3.0,
        ("vgg_a", 1, "probe/beta"): 6.0,
        ("vgg_a_bn", 0, "probe/shift_l2"): 5.0,
    }
    assert probe_medians(runs, from_step=2) == {("vgg_a", 0, "probe/beta"): 9.0}


def test_the_papers_numbers_are_of_the_runs_that_count() -> None:
    """Before: a repeated seed's run counted here, which the notes of the same table said not to count."""
    counts = [history([1.0, 2.0], lr=0.1, key="probe/beta"), history([3.0], lr=0.2, key="probe/beta")]
    repeats = [
        replace(history([50.0], lr=0.1, key="probe/beta"), folder=Path("runs/z")),
        replace(history([70.0], lr=0.1, key="probe/beta", status="failed"), folder=Path("runs/a")),
        replace(history([], lr=0.1), folder=Path("runs/b")),
    ]
    foreign = history([90.0], lr=0.1, key="probe/beta")
    del foreign.config["optimizer.lr"]
    assert probe_medians([*repeats, *counts, foreign]) == probe_medians(counts) == {("vgg_a", 0, "probe/beta"): 2.0}
    assert bands([*repeats, *counts, foreign], "probe/beta").bands[0].mean_level == 2.0
