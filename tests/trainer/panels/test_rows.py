"""Rows of panels, from hand-made histories with numbers that can be checked by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.config.overrides import flatten, read_overrides
from trainer.panels.registry import PANELS, panel
from trainer.panels.rows_curves import ablation
from trainer.panels.thin import thin
from trainer.published import rows as published_rows
from trainer.published import runs_of
from trainer.runs.groups import grouped
from trainer.runs.history import History


def run(
    name: str = "a",
    rows: list[dict[str, Any]] | None = None,
    summary: dict[str, Any] | None = None,
    confusion: list[list[int]] | None = None,
    **config: Any,
) -> History:
    settings = {"model.name": "vgg_a", "seed": 0, "optimizer.lr": 0.1} | {
        key.replace("__", "."): value for key, value in config.items()
    }
    numbered = [{"epoch": float(i + 1), "step": i, **row} for i, row in enumerate(rows or [])]
    classes = ["cat", "dog"] if confusion else []
    return History(Path("nowhere") / name, settings, numbered, summary or {}, confusion or [], classes)


def test_one_run_is_called_by_its_name_and_several_seeds_by_their_network() -> None:
    assert list(grouped([run("first")])) == ["first"]
    assert list(grouped([run("first"), run("second", seed=1)])) == ["vgg_a"]


def test_groups_are_labelled_with_as_few_keys_as_distinguish_them_and_never_with_the_seed() -> None:
    runs = [
        run("a", schedule__name="cosine", schedule__final_factor=0.0),
        run("b", schedule__name="step", schedule__step_size=30),
        run("c", schedule__name="step", schedule__step_size=30, seed=1),
        run("d", schedule__name="step", schedule__step_size=30, optimizer__lr=0.2),
    ]
    found = {label: [each.name for each in group] for label, group in grouped(runs).items()}
    assert found == {"cosine, lr=0.1": ["a"], "step, lr=0.1": ["b", "c"], "step, lr=0.2": ["d"]}


def test_keys_that_change_no_number_distinguish_no_groups() -> None:
    runs = [run("a", data__root="/here", sink__wandb__group="x"), run("b", data__root="/there", probe__walk__every=30)]
    assert list(grouped(runs)) == ["vgg_a"]


def test_learning_curves_are_percent_with_mean_lowest_and_highest_over_the_seeds() -> None:
    rows = panel("learning_curves").rows(
        grouped(
            [run("a", [{"test/accuracy": 0.5}]), run("b", [{"test/accuracy": 0.7}, {"test/accuracy": 0.9}], seed=1)]
        )
    )
    first, second = rows
    assert first == {"group": "vgg_a (n=2)", "split": "test", "epoch": 1.0, "accuracy": 60.0, "low": 50.0, "high": 70.0}
    assert (second["epoch"], second["accuracy"], second["low"], second["high"]) == (2.0, 90.0, 90.0, 90.0)


def test_a_repeated_seed_counts_once() -> None:
    accuracies = {"a": 0.5, "b": 0.9, "c": 0.7}
    runs = [
        run(name, [{"test/accuracy": value}], {"test/accuracy": value, "status": "finished"}, seed=int(name == "c"))
        for name, value in accuracies.items()
    ]
    (row,) = panel("learning_curves").rows(grouped(runs))
    assert (row["group"], row["accuracy"]) == ("vgg_a (n=2)", pytest.approx(60))
    assert [row["accuracy"] for row in ablation(grouped(runs))] == pytest.approx([50, 70, 60])


def test_an_ablation_has_each_seed_the_mean_with_its_spread_best_group_first() -> None:
    runs = [
        run(f"{act}{seed}", summary={"test/accuracy": value}, model__act=act, seed=seed)
        for act, values in {"relu": [0.8, 0.9], "elu": [0.95, None]}.items()
        for seed, value in enumerate(values)
    ]
    rows = ablation(grouped(runs))
    assert [(row["group"], row["kind"], row["order"]) for row in rows] == [
        ("act=elu (n=1 of 2)", "one seed", 0),
        ("act=elu (n=1 of 2)", "mean", 0),
        ("act=relu (n=2)", "one seed", 1),
        ("act=relu (n=2)", "one seed", 1),
        ("act=relu (n=2)", "mean", 1),
    ]
    mean = rows[4]
    spread = 10 / 2**0.5  # of 80 and 90, with n - 1
    assert (mean["accuracy"], mean["low"], mean["high"]) == pytest.approx((85, 85 - spread, 85 + spread))
    assert rows[1]["low"] == rows[1]["high"] == 95  # one seed has no spread


def test_a_run_at_chance_is_drawn_and_is_in_no_mean() -> None:
    """Before: a group of 90, 90 and 10 % had its mean at 63."""
    runs = [
        run(f"r{seed}", summary={"test/accuracy": value, "status": "finished"}, seed=seed, data__name="cifar10")
        for seed, value in enumerate([0.9, 0.9, 0.1])
    ]
    rows = ablation(grouped(runs))
    assert [(row["group"], row["kind"], row["accuracy"]) for row in rows] == [
        *(("vgg_a (n=2 of 3)", "one seed", pytest.approx(value)) for value in (90, 90, 10)),
        ("vgg_a (n=2 of 3)", "mean", pytest.approx(90)),
    ]


@pytest.mark.parametrize("name", ["ablation", "accuracy_time_size"])
def test_what_is_labelled_test_accuracy_is_that_of_the_last_epoch_whatever_the_protocol(name: str) -> None:
    """Before: the best epoch of `protocol=best_test` was drawn under that label."""
    told = {"test/accuracy": 0.7, "headline/accuracy": 0.9, "time/train_seconds": 60.0, "model/parameters": 1e6}
    rows = panel(name).rows(grouped([run("a", summary=told, protocol="best_test")]))
    assert panel(name).columns["accuracy"].meaning == "test accuracy (%)"
    assert {row["accuracy"] for row in rows} == {70}


def test_a_published_figure_is_drawn_beside_runs_of_its_settings_only() -> None:
    row = next(
        row for row in published_rows() if row.experiment == "b35c-t5-lr-scheduler" and row.settings["scheduler"]
    )
    config = flatten(read_overrides(runs_of(row)[0])) | {"schedule.final_factor": 0.0}
    other = config | {"schedule.name": "constant"}
    small = config | {"train.epochs": 1, "schedule.name": "constant"}
    runs = [
        History(Path("runs", row.sweep, f"{i}"), settings, [], {"test/accuracy": 0.5}, [])
        for i, settings in enumerate((config, other))
    ]
    ticks = [(each["group"], each["accuracy"]) for each in ablation(grouped(runs)) if each["kind"] == "published"]
    assert ticks == [(f"{row.settings['scheduler']} (n=1)", row.printed["test_acc"])]
    assert [
        each for each in ablation(grouped([*runs[1:], replace(runs[0], config=small)])) if each["kind"] == "published"
    ] == []


def test_a_confusion_is_summed_over_runs_and_its_rates_are_of_the_true_class() -> None:
    rows = panel("confusion_matrix").rows(
        grouped([run("a", confusion=[[3, 1], [0, 4]]), run("b", confusion=[[1, 3], [0, 4]], seed=1)])
    )
    assert [(row["actual"], row["predicted"], row["images"], row["rate"]) for row in rows] == [
        ("cat", "cat", 4, 50.0),
        ("cat", "dog", 4, 50.0),
        ("dog", "cat", 0, 0.0),
        ("dog", "dog", 8, 100.0),
    ]


def walked(low: float, high: float) -> dict[str, float]:
    return {"probe/loss_min": low, "probe/loss": (low + high) / 2, "probe/loss_max": high}


def test_a_band_along_the_gradient_is_as_wide_as_that_of_a_run_however_much_its_seeds_differ() -> None:
    ends = [(1.0, 1.5), (3.0, 3.5)]
    shown = {
        "loss_variation": ["probe/loss_min", "probe/loss_max"],
        "gradient_predictiveness": ["probe/grad_l2_min", "probe/grad_l2_max"],
        "gradient_cosine": ["probe/grad_cosine_min", "probe/grad_cosine_max"],
    }
    for name, keys in shown.items():
        runs = [
            run(f"{seed}", [{"probe/loss": 1.0, **dict(zip(keys, each, strict=True))}], seed=seed)
            for seed, each in enumerate(ends)
        ]
        (row,) = panel(name).rows(grouped(runs))
        assert (row["group"], row["low"], row["high"]) == ("vgg_a (n=2)", 2.0, 2.5)


def test_the_line_of_the_loss_is_that_at_the_steps_weights() -> None:
    (row,) = panel("loss_variation").rows(
        grouped([run("a", [{"probe/loss_min": 1.0, "probe/loss": 1.25, "probe/loss_max": 9.0}])])
    )
    assert row["mean"] == 1.25


def test_the_spread_of_beta_is_that_of_the_seeds() -> None:
    rows = panel("beta").rows(
        grouped([run(f"{seed}", [{"probe/beta": beta}], seed=seed) for seed, beta in enumerate((1, 2, 6))])
    )
    assert rows == [{"group": "vgg_a (n=3)", "step": 0, "low": 1, "mean": 3, "high": 6}]


@pytest.mark.parametrize(
    ("name", "key"), [("beta", "probe/beta"), ("shift", "probe/shift_l2/a"), ("gradient_cosine", "runs/grad_cosine")]
)
def test_runs_of_other_rates_are_never_one_group_along_the_gradient(name: str, key: str) -> None:
    runs = [
        run(f"{model}{rate}", [{key: 0.5}], model__name=model, optimizer__lr=rate)
        for model in ("vgg_a", "vgg_a_bn")
        for rate in (0.25, 0.5)
    ]
    labels = [row["group"] for row in panel(name).rows(grouped(runs))]
    assert labels == ["vgg_a, lr=0.25", "vgg_a, lr=0.5", "vgg_a_bn, lr=0.25", "vgg_a_bn, lr=0.5"]


@pytest.mark.parametrize("name", ["loss_variation", "beta"])
def test_a_long_table_along_the_gradient_does_not_widen_its_bands(name: str) -> None:
    noisy = ({"probe/beta": 1.0 + i % 5, **walked(1.0 + i % 5, 2.0 + i % 5)} for i in range(30_000))
    rows = panel(name).rows(grouped([run("a", list(noisy))]))
    assert len(rows) < 30_000
    assert {round(row["high"] - row["low"], 6) for row in rows} == {1.0 if name == "loss_variation" else 0.0}


def test_rates_alone_are_groups_of_their_own() -> None:
    rows = panel("beta").rows(grouped([run(f"{lr}", [{"probe/beta": lr}], optimizer__lr=lr) for lr in (0.1, 0.2)]))
    assert [(row["group"], row["mean"]) for row in rows] == [("lr=0.1", 0.1), ("lr=0.2", 0.2)]


def test_the_papers_cosines_and_the_reports_keep_their_names_and_the_reports_are_averaged_over_stretches() -> None:
    probed = {"probe/grad_cosine_min": -0.5, "probe/grad_cosine_max": 0.75}
    rows = panel("gradient_cosine").rows(
        grouped([run("a", [probed, *({"runs/grad_cosine": i / 1000} for i in range(400))])])
    )
    assert rows[0] == {"group": "a", "measure": "along the gradient", "step": 0, "low": -0.5, "high": 0.75}
    reports = rows[1:]
    assert len(reports) == 100 and {row["measure"] for row in reports} == {"from step to step"}
    assert reports[0]["low"] == reports[0]["high"] == pytest.approx((0 + 1 + 2 + 3) / 4 / 1000)


def test_the_shift_is_by_layer_in_the_networks_order_without_the_first_whose_shift_is_nothing() -> None:
    shifts = {"probe/shift_l2/z": 0.0, "probe/shift_l2/b": 2.0, "probe/shift_l2/a": 3.0, "probe/shift_cosine/a": 0.5}
    rows = panel("shift").rows(
        grouped([run("one", [shifts]), run("two", [shifts | {"probe/shift_l2/a": 5.0}], seed=1)])
    )
    assert [(row["layer"], row["order"], row["shift"]) for row in rows] == [("b", 1, 2.0), ("a", 2, 4.0)]
    assert [row["shift"] for row in panel("shift_cosine").rows(grouped([run("one", [shifts])]))] == [0.5]


@pytest.mark.parametrize(
    ("name", "key"),
    [("loss_band", "runs/loss"), ("gradient_distance_band", "runs/grad_distance"), ("run_beta_band", "runs/beta")],
)
def test_a_reports_band_is_that_of_sibling_runs(name: str, key: str) -> None:
    runs = [run(f"{lr}", [{key: 2 * lr}, {key: lr}], optimizer__lr=lr) for lr in (0.1, 0.3)]
    rows = panel(name).rows(grouped(runs))
    assert [(row["step"], row["low"], row["mean"], row["high"]) for row in rows] == [
        (0, pytest.approx(0.2), pytest.approx(0.4), pytest.approx(0.6)),
        (1, pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.3)),
    ]


def test_a_long_band_keeps_its_mean_width() -> None:
    runs = [run(f"{lr}", [{"runs/loss": lr * (i % 7)} for i in range(700)], optimizer__lr=lr) for lr in (0.1, 0.3)]
    rows = panel("loss_band").rows(grouped(runs))
    assert len(rows) == 100
    assert sum(row["high"] - row["low"] for row in rows) / 100 == pytest.approx(0.2 * 3)


@pytest.mark.parametrize("shown", PANELS, ids=lambda shown: shown.name)
def test_runs_that_have_nothing_to_draw_give_no_rows(shown: Any) -> None:
    assert shown.rows(grouped([run("a"), run("b", [{"train/other": 1.0}], seed=1)])) == []
    assert shown.rows({}) == []


def test_a_table_thinned_keeps_its_extremes_and_its_lines_apart() -> None:
    rows = [{"line": line, "x": x, "low": -x, "high": x} for line in "ab" for x in range(1000)]
    found = thin(rows, by=["line"], how={"low": "min", "high": "max"}, limit=20)
    assert len(found) == 20
    assert [row["x"] for row in found if row["line"] == "a"] == list(range(0, 1000, 100))
    assert (min(row["low"] for row in found), max(row["high"] for row in found)) == (-999, 999)
    assert thin(rows, by=["line"], how={}, limit=2000) == rows


def test_a_stretch_is_averaged_over_what_is_known() -> None:
    rows = [{"x": 0, "y": 1.0}, {"x": 1, "y": None}, {"x": 2, "y": 3.0}, {"x": 3, "y": None}]
    assert thin(rows, by=[], how={"y": "mean"}, limit=1) == [{"x": 0, "y": 2.0}]


@pytest.mark.parametrize("lengths", [(1,) * 600 + (9_990,), (25_000,), (7_000, 4_000)])
def test_lines_of_any_length_are_thinned_to_the_limit(lengths: tuple[int, ...]) -> None:
    rows = [{"line": line, "x": x} for line, length in enumerate(lengths) for x in range(length)]
    found = thin(rows, by=["line"], how={"x": "mean"})
    assert 9_000 < len(found) <= 10_000 and {row["line"] for row in found} == set(range(len(lengths)))


@pytest.mark.parametrize("name", ["loss_variation", "gradient_predictiveness", "beta", "gradient_cosine", "shift"])
def test_no_table_is_larger_than_wandb_draws_as_a_presets_neither(name: str) -> None:
    kinds = ("loss_min", "loss", "loss_max", "grad_l2_min", "grad_l2_max", "grad_cosine_min", "grad_cosine_max", "beta")
    layers = {f"probe/shift_l2/{layer}": 1.0 for layer in "abc"}
    row = {"runs/grad_cosine": 0.5, **{f"probe/{kind}": 1.0 for kind in kinds}, **layers}
    shown = panel(name)
    rows = shown.rows(grouped([run("a", [row] * 11_000)]))
    assert shown.preset is not None
    assert len(rows) <= 10_000 and 5_000 < len(shown.preset.table(rows)) <= 10_000
