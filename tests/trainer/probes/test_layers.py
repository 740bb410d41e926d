"""The layers that a probe measures, and the one-line error for a wrong name."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from models import build_model, sketch_model
from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.probes.layers import layers_of, pick_layers
from trainer.probes.shift import shifting_layers


def test_vgg_a_has_eight_convolutions_and_three_linear_layers_in_the_order_of_its_pass() -> None:
    layers = layers_of(sketch_model("vgg_a_bn"))
    assert [type(layer) for layer in layers.values()] == [nn.Conv2d] * 8 + [nn.Linear] * 3
    assert list(layers)[:4] == ["features.stage1.0", "features.stage2.0", "features.stage3.0", "features.stage3.3"]
    assert list(layers)[-1] == "head.7"


def test_a_layer_is_given_by_its_name_or_its_number_from_one() -> None:
    known = ["stem", "body.0", "body.1", "head"]
    assert pick_layers([], known, "key") == known
    assert pick_layers(["head", "2", "body.0"], known, "key") == ["body.0", "head"]


def test_numbers_may_be_written_as_numbers() -> None:
    assert load_config(['probe.shift.layers=[3,"head"]']).config.probe.shift.layers == ("3", "head")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "features.stage9.0",
            "probe.features.layers: no layer is called 'features.stage9.0'; did you mean 'features.st",
        ),
        ("12", "probe.features.layers: 12: the network has layers 1 to 11"),
        ("0", "probe.features.layers: 0: the network has layers 1 to 11"),
        ("-1", "probe.features.layers: no layer is called '-1'; one of features.stage1.0, "),
    ],
)
def test_a_wrong_layer_gets_one_line_with_the_nearest_right_one(word: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pick_layers([word], list(layers_of(sketch_model("vgg_a_bn"))), "probe.features.layers")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(line)


@pytest.mark.parametrize("probe", ["shift", "features"])
def test_all_wrong_layers_are_listed_at_once_before_training(parts_of: Callable[..., Any], probe: str) -> None:
    overrides = ["model.name=handmade_cnn", f"probe.{probe}.at=[0]", f'probe.{probe}.layers=[7,"featurs.block1.0",1]']
    with pytest.raises(ConfigError) as caught:
        parts_of(overrides)
    assert caught.value.problems == (
        f"probe.{probe}.layers: 7: the network has layers 1 to 3",
        f"probe.{probe}.layers: no layer is called 'featurs.block1.0'; did you mean 'features.block1.0'?",
    )


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("probe.drift.evry=1", "probe.drift.evry: drift has no such field; did you mean 'every'?"),
        ("probe.drfit.every=1", "probe.drfit: probe has no such field; did you mean 'drift'?"),
        ("probe.walk.every=-1", "probe.walk.every: -1: input should be greater than or equal to 0"),
        ("probe.walk.at=[1,-2]", "probe.walk.at.1: -2: input should be greater than or equal to 0"),
        ("probe.walk.at=soon", "probe.walk.at: 'soon' is not a list; write probe.walk.at=[soon]"),
        ("probe.walk.points=1", "probe.walk.points: 1: input should be greater than or equal to 2"),
        ("probe.walk.max_step=0", "probe.walk.max_step: 0: input should be greater than 0"),
        ("probe.walk.reference_lr=fast", "probe.walk.reference_lr: 'fast': input should be a valid number"),
        ("probe.shift.log_spaced=1.5", "probe.shift.log_spaced: 1.5: input should be a valid integer"),
    ],
)
def test_a_wrong_setting_gets_one_line(word: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([word])
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(line)


def test_the_first_layer_shifts_only_where_something_is_trained_before_it() -> None:
    assert list(shifting_layers(build_model("handmade_mlp", hidden=(4,)), [])) == ["head.0"]
    norm_first = build_model("handmade_mlp", hidden=(4,), order=("norm", "linear", "act"))
    assert list(shifting_layers(norm_first, [])) == ["features.block1.1", "head.0"]


def test_a_first_layer_that_is_asked_for_is_measured_and_has_not_shifted(watch: Callable[..., Any]) -> None:
    overrides = ["model.name=handmade_mlp", "model.hidden=[4]", "schedule.name=constant", "probe.shift.at=[1]",
             "probe.shift.layers=[1]", "train.max_steps=2"]  # fmt: skip
    row = watch(overrides)[1][1]
    assert row["probe/shift_l2/features.block1.0"] == 0
    assert row["probe/shift_cosine/features.block1.0"] == pytest.approx(1, rel=1e-6)


def test_a_layer_whose_weights_are_frozen_has_no_shift() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].requires_grad_(False)
    assert list(shifting_layers(net, [])) == ["2"]
    with pytest.raises(ConfigError, match=r"probe.shift.layers: 1: its weights are frozen"):
        shifting_layers(net, ["1"])
