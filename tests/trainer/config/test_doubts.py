"""Epochs beyond a run's end."""

import pytest

from trainer.config.doubts import doubts
from trainer.config.load import load_config
from trainer.config.recipes import recipe_names

SIDES = "augment.side.pixels=[16, 32]"
SIZES = "train.batch_schedule.sizes=[64]"


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (
            ["schedule.name=piecewise", "schedule.epochs=[0, 2, 8]", "schedule.factors=[0, 1, 0.1]"],
            ["schedule.epochs"],
        ),
        (["schedule.name=multistep", "schedule.milestones=[1, 2]"], ["schedule.milestones"]),
        (["schedule.name=step", "schedule.every_epochs=2"], ["schedule.every_epochs"]),
        (
            ["schedule.name=cosine", "schedule.over_epochs=3", "schedule.warmup_epochs=2.5"],
            ["schedule.warmup_epochs", "schedule.over_epochs"],
        ),
        ([SIDES, "augment.side.from_epochs=[0, 2]"], ["augment.side.from_epochs"]),
        ([SIZES, "train.batch_schedule.from_epochs=[5]"], ["train.batch_schedule.from_epochs"]),
        (["optimizer.first_bias.end_epoch=3", "optimizer.head.end_epoch=2"], ["optimizer.first_bias.end_epoch"]),
        (["optimizer.norm_and_bias_end_epoch=3"], ["optimizer.norm_and_bias_end_epoch"]),
        (["train.swa.epochs=3"], ["train.swa.epochs"]),
        (["schedule.name=cosine", "schedule.over_epochs=2", "schedule.warmup_epochs=1"], []),
        (["schedule.name=piecewise", "schedule.epochs=[0, 2]", "schedule.factors=[0, 1]"], []),
        (["schedule.name=multistep", "schedule.milestones=[1, 1.5]"], []),
        (["schedule.name=constant"], []),
        ([SIDES, "augment.side.from_epochs=[0, 1]"], []),
        (["train.swa.epochs=2"], []),
    ],
)
def test_what_a_run_never_reaches_is_warned_of(overrides: list[str], keys: list[str]) -> None:
    warnings = list(doubts(load_config([*overrides, "train.epochs=2"]).config.model_dump(mode="json")))
    assert [warning.partition(":")[0] for warning in warnings] == keys
    if keys == ["schedule.epochs"]:
        assert warnings == ["schedule.epochs: the run ends after epoch 2 and never reaches 8"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["train.tta_share=0.5"], "train.tta_share: 0.5: no views are averaged; set train.tta, too"),
        (["train.tta_share=0.5", "train.tta=hflip"], ""),
        (
            ["schedule.name=one_cycle", "schedule.interval=epoch", "train.epochs=1"],
            "schedule.interval: epoch: the run has",
        ),
        (["schedule.name=one_cycle", "schedule.interval=epoch", "train.epochs=2"], ""),
    ],
)
def test_a_key_that_changes_nothing_beside_others_is_warned_of(overrides: list[str], line: str) -> None:
    found = list(doubts(load_config(overrides).config.model_dump(mode="json")))
    assert [each for each in found if not line or not each.startswith(line)] == []
    assert bool(found) == bool(line)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_reaches_all_that_it_names(name: str) -> None:
    assert list(doubts(load_config(recipe=name).config.model_dump())) == []
