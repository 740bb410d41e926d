"""What public code of the reports' authors says: each fact has its source, and is of rows that are there."""

from collections import Counter
from typing import Any

import pytest

from trainer.config.recipes import recipe_names
from trainer.published import PublishedRow, rows
from trainer.report.published.authors import facts_of, recipe_of, repositories, why_unrun
from trainer.report.published.grades import authors_run

ROWS = rows()


def first(experiment: str, **settings: Any) -> PublishedRow:
    return next(
        row
        for row in ROWS
        if row.experiment == experiment and all(row.settings.get(key) == value for key, value in settings.items())
    )


def test_each_fact_has_a_source_and_is_of_rows_that_are_there() -> None:
    experiments = {row.experiment for row in ROWS}
    for repository in repositories():
        assert "/" in repository.name and repository.revision
        for scope in [*(fact.scope for fact in repository.facts), *repository.readings, repository.unrun or {"of": []}]:
            assert set(scope["of"]) <= experiments
            assert all(each.startswith(repository.report) for each in scope["of"])
        for fact in repository.facts:
            assert fact.source.startswith(f"{repository.name}, ") and fact.says
            assert any(fact in facts_of(row.experiment, row.settings) for row in ROWS), fact


def test_each_reading_is_a_recipe_and_each_recipe_a_reading() -> None:
    used = {recipe for row in ROWS if (recipe := recipe_of(row.experiment, row.settings))}
    named = {str(reading["recipe"]) for repository in repositories() for reading in repository.readings}
    assert used == named == {name for name in recipe_names() if name.startswith("authors_")}


@pytest.mark.parametrize(
    ("experiment", "where", "key", "value"),
    [
        ("b35c-t1-loss", {}, "schedule.monitor", "test/loss"),
        ("b35c-t5-lr-scheduler", {"scheduler": "step"}, "schedule.every_epochs", 5.0),
        ("b35c-t5-lr-scheduler", {"scheduler": "step"}, "schedule.gamma", 0.5),
        ("b35c-t5-lr-scheduler", {"scheduler": "linear"}, "schedule.over_epochs", 15.0),
        ("b35c-t5-lr-scheduler", {"scheduler": "exponential"}, "schedule.gamma", 0.9),
        ("b35c-t5-lr-scheduler", {"scheduler": "cosine"}, "schedule.final_factor", 0.01),
        ("b35c-t7-models", {"model": "wide_resnet28x10"}, "model.dropout", 0.5),
        ("b35c-t7-models", {"model": "resnet50"}, "model.norm", "ghost"),
        ("b35c-s2.1-vgg-bn", {}, "data.mean", [0.5, 0.5, 0.5]),
        ("dfbc-t1-cnn-family", {"model": "residual_cnn"}, "loss.label_smoothing", 0.0),
        ("dfbc-t1-cnn-family", {}, "train.epochs", 50),
        ("dfbc-s2-vgg-bn", {}, "optimizer.lr", 1e-3),
        ("dfbc-s2-vgg-bn", {}, "train.early_stop.patience", 10),
        ("b35c-t9-fastresnet9", {"model": "fastresnet9"}, "augment.crop.mode", "reflect"),
        ("b35c-t9-fastresnet9", {"model": "fastresnet9"}, "train.drop_last", True),
        ("a0b5-s2-baseline", {"model": "vgg_a"}, "model.dropout", 0.5),
        ("a0b5-s2-baseline", {"model": "vgg_a_bn"}, "model.dropout", 0.0),
        ("a0b5-s3-loss", {"l1": True}, "loss.l1", 1e-4),
        ("a0b5-s3-loss", {"l2": True}, "optimizer.weight_decay", 1e-3),
        ("a0b5-s5-optimizer", {"optimizer": "sgd"}, "optimizer.momentum", 0.0),
        ("a0b5-s5-optimizer", {"optimizer": "sgd"}, "train.epochs", 30),
        ("a0b5-s5-optimizer", {"optimizer": "adam"}, "data.val_fraction", 0.2),
    ],
)
def test_what_was_read_in_the_code(experiment: str, where: dict[str, Any], key: str, value: Any) -> None:
    row = first(experiment, **where)
    assert [fact.set[key] for fact in facts_of(experiment, row.settings) if key in fact.set][-1] == value


@pytest.mark.parametrize("experiment", ["a0b5-s4-activation", "a0b5-s5-optimizer"])
def test_what_a_training_loop_does_that_is_not_in_the_repository_is_not_known(experiment: str) -> None:
    known = {key for row in ROWS if row.experiment == experiment for fact in facts_of(experiment, row.settings)
             for key in fact.set}  # fmt: skip
    assert "data.val_fraction" in known and not known & {"schedule.name", "train.precision"}


def test_no_run_is_known_behind_18_figures() -> None:
    counts = Counter(row.experiment for row in ROWS if why_unrun(row.experiment))
    assert counts == {"a0b5-s3-loss": 10, "a0b5-s6-dropout": 4, "a0b5-s7-lr-scheduler": 4}


def test_no_reading_stops_by_the_test_set() -> None:
    stopping = [
        row for row in ROWS if any("stops after" in fact.says for fact in facts_of(row.experiment, row.settings))
    ]
    started = [authors_run(row) for row in stopping]
    assert len(stopping) == 7 and all(started)
    for run in started:
        assert run and (run.config["train.early_stop.monitor"], run.config["train.early_stop.patience"]) == (None, 0)
        assert run.config["data.val_fraction"] == 0


def test_a_reading_trains_for_at_least_as_long_as_the_report_needs_to_converge() -> None:
    """Before: 20 epochs for rows that converge at 25, 35 and 45, so that the outcome was known before any run."""
    readings = [
        (row, run)
        for row in ROWS
        if "convergence_epochs" in row.printed and not why_unrun(row.experiment) and (run := authors_run(row))
    ]
    assert {row.experiment for row, _ in readings} >= {"a0b5-s2-baseline", "a0b5-s8-convergence"}
    for row, run in readings:
        assert run.config["train.epochs"] >= float(str(row.printed["convergence_epochs"]))
