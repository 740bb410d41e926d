"""Networks by config: mistakes in their names and arguments, their tables, and what is computed from data first."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from twins import EACH_CODE, TWINS

from models import model_names
from models.layers import HandmadeBatchNorm, PatchWhitening
from trainer.config import load_config
from trainer.config.model import Model
from trainer.data.images import ImageSet, Split
from trainer.errors import ConfigError
from trainer.runs.folder import config_hash
from trainer.training import network_tables
from trainer.training.network_arguments import complete_arguments, complete_parts, options_of, table
from trainer.training.networks import build_network, drawn_network, fit_whitening, refuse_impossible, refuse_one_image


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("fastresnet", {}, ["model.name: no network is called 'fastresnet'; did you mean 'fastresnet9'?"]),
        ("resnet9", {"widht": 8}, ["model.widht: resnet9 has no such field; did you mean 'width'?"]),
        ("resnet9", {"width": "wide"}, ["model.width: 'wide': input should be a valid integer"]),
        ("resnet9", {"width": True}, ["model.width: 'true': input should be a valid integer"]),
        ("resnet9", {"act": "gulu"}, ["model.act: 'gulu' is not a choice; did you mean 'gelu'?"]),
        ("resnet9", {"width": -1}, ["model.width: -1: input should be greater than or equal to 1"]),
        ("resnet9", {"width": 10**30}, ["model.width: "]),
        ("densenet121", {"growth": 0}, ["model.growth: 0: input should be greater than or equal to 1"]),
        ("vgg_a", {"dropout": 1}, ["model.dropout: 1: input should be less than 1"]),
        ("resnet20", {"stochastic_depth": -0.1}, ["model.stochastic_depth: -0.1: input should be greater than or"]),
        (
            "densenet100_bc",
            {"compression": 0.001},
            ["model: densenet100_bc cannot be built with these arguments: features.transition1.2"],
        ),
        ("vgg_a", {"head_width": 0}, ["model.head_width: 0: input should be greater than or equal to 1"]),
        ("handmade_mlp", {"hidden": [8, 0]}, ["model.hidden.1: 0: input should be greater than or equal to 1"]),
        (
            "handmade_cnn",
            {"channels": [8] * 6},
            ["model: handmade_cnn cannot be built with these arguments: channels="],
        ),
        ("fastresnet9", {"ghost_size": -4}, ["model.ghost_size: -4: input should be greater than or equal to 0"]),
        ("fastresnet9", {"logit_scale": "x", "width": 1.5}, ["model.width: 1.5", "model.logit_scale: 'x'"]),
        ("resnet9", {"num_classes": 5, "widht": 8}, ["model.num_classes: set by the data", "model.widht"]),
        ("timm/resnet18x", {}, ["model.name: no network is called 'timm/resnet18x'; did you mean 'timm/resnet18'?"]),
        ("timm/resnet18", {"foo": 1}, ["model: timm/resnet18 cannot be built with these arguments: "]),
        ("timm/resnet18", {"pretrained": True}, ["model.pretrained: trained weights cannot be loaded: a run depends"]),
        ("resnet18", {"pretrained": True}, ["model.pretrained: resnet18 has no such field"]),
        ("timm/resnet18", {"features_only": True}, ["model.features_only: a run needs logits, not maps; remove it"]),
        ("timm/resnet18", {"stem": "cfar"}, ["model.stem: 'cfar' is not a choice; did you mean 'cifar'?"]),
        (
            "timm/vit_tiny_patch16_224",
            {"stem": "cifar"},
            ["model: timm/vit_tiny_patch16_224 cannot be built with these arguments: stem"],
        ),
    ],
)
def test_a_wrong_name_or_argument_is_one_line_with_the_nearest(
    name: str, arguments: dict[str, object], said: list[str]
) -> None:
    lines, _ = complete_arguments(name, arguments)
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert line.startswith(part)
        assert "\n" not in line


def test_values_reach_the_builder_in_the_types_of_its_signature() -> None:
    net = build_network(Model.model_validate({"name": "resnet9", "width": "4"}), some_images())
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 2)


def test_a_table_of_layers_is_refused_in_one_line_where_an_image_does_not_pass() -> None:
    with pytest.raises(ConfigError, match=r"^model.name: timm/vit_tiny_patch16_224 does not take images of 3x32x32: "):
        network_tables.layers("timm/vit_tiny_patch16_224")
    with pytest.raises(ConfigError, match=r"^model.name: no network is called 'resnet'"):
        network_tables.arguments("resnet")


def test_arguments_are_shown_as_they_are_typed() -> None:
    rows = {row.key: (row.default, row.values) for row in network_tables.arguments("simp_res9")}
    assert rows["model.stem"] == ("[3]", "list of int >= 1")
    assert rows["model.norm"] == ("batch", "batch | ghost | group | layer | none | handmade")
    assert rows["model.init"] == ("paper", "paper | torch | kaiming | xavier | dirac")
    assert rows.keys() == {"model.stem", "model.act", "model.norm", "model.init"}  # what the data sets is not asked for
    text = network_tables.as_text(network_tables.arguments("fastresnet9"), network_tables.layers("fastresnet9"))
    above, below = text.split("\n\n")
    assert "model.pool_first" in above and "true" in above
    assert "features.stem.0" in below and "27x32x32" in below


def test_a_row_of_a_network_is_flat_in_json_and_says_unsettled_in_a_table() -> None:
    (row,) = (row for row in network_tables.networks() if row.name == "simp_res9")
    plain = json.loads(json.dumps(asdict(row)))
    assert (plain["name"], plain["published"], plain["settled"]) == ("simp_res9", "3.41 MB", False)
    assert plain["parameters"] == 887_082
    assert not [value for value in plain.values() if isinstance(value, dict | list)]
    assert row.cells()["published"] == "3.41 MB (unsettled)"


@pytest.mark.parametrize("name", EACH_CODE)
def test_a_network_can_be_built_with_whatever_the_table_lets_pass_untried(name: str) -> None:
    """All choices in turn and all bounds, together: nothing is left for a run's start to refuse.

    Choices of several arguments are tried at once, until each has had its turn.
    """
    untried = {key: each for key, each in table()["networks"][name]["arguments"].items() if "tried" not in each}
    ends = [
        {key: each[end] for key, each in untried.items() if end in each and each["kind"] == "int"}
        | {key: rate for key, each in untried.items() if each.get("lt") == 1}
        for end, rate in (("ge", 0.0), ("le", 0.999))
    ]
    cases = [dict[str, object](), *ends]
    choices = {key: each["choices"] for key, each in untried.items() if "choices" in each}
    for turn in range(max(map(len, choices.values()))):
        chosen = {key: values[turn % len(values)] for key, values in choices.items()}
        cases += [chosen, {**ends[0], **chosen}]
    cases += [{key: not each["default"]} for key, each in untried.items() if each.get("kind") == "bool"]
    for arguments in cases:
        whole = {key: each.default for key, each in options_of(name).items()} | arguments
        refuse_impossible(name, whole)


def test_the_table_has_the_same_arguments_for_a_network_and_its_twin() -> None:
    """Only the defaults may differ. Each network is built with its own in test_every_network.py."""
    rows = table()["networks"]
    assert [*rows] == model_names()

    def bounds(name: str) -> dict[str, dict[str, object]]:
        return {key: {**each, "default": None} for key, each in rows[name]["arguments"].items()}

    assert [name for name, twin in TWINS.items() if bounds(name) != bounds(twin)] == []


def some_images(n: int = 60, size: int = 16) -> ImageSet:
    """Two classes, one after the other as a folder has them: faint and strong."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) * 2 // n
    images = torch.randint(256, (n, 3, size, size), generator=draw) // (10 - 9 * labels).view(-1, 1, 1, 1)
    split = Split(images.byte(), labels)
    return ImageSet("some", ("faint", "strong"), (0.5,) * 3, (0.25,) * 3, split, split)


def test_an_image_too_small_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"model.name: resnet9 does not take images of 3x4x4: ") as caught:
        drawn_network(Model(name="resnet9"), some_images(size=4), seed=0)
    assert len(caught.value.problems) == 1


def test_a_network_that_makes_no_logits_is_one_line() -> None:
    tokens = Model.model_validate({"name": "timm/test_vit", "global_pool": "", "img_size": 32})
    said = r"^model: timm/test_vit makes a tensor \[1, 5, 2\] of 1 image, not logits \[1, 2\]$"
    with pytest.raises(ConfigError, match=said):
        drawn_network(tokens, some_images(size=32), seed=0)


def test_a_side_that_the_network_does_not_take_is_one_line() -> None:
    drawn_network(Model.model_validate({"name": "airbench94"}), some_images(size=32), seed=0, sides=[24, 28])
    with pytest.raises(ConfigError, match=r"model.name: lenet5 does not take images of 3x24x24: "):
        drawn_network(Model(name="lenet5"), some_images(size=32), seed=0, sides=[24])


def test_one_image_is_refused_at_the_side_at_which_a_network_cannot_be_trained_on_it() -> None:
    net = build_network(Model.model_validate({"name": "resnet9", "width": 2}), some_images())
    refuse_one_image(net, "resnet9", (3, 16, 16))
    with pytest.raises(ConfigError, match=r"single image, on which resnet9 cannot be trained at 3x8x8: Expected more"):
        refuse_one_image(net, "resnet9", (3, 8, 8))


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first, again, other = (
        drawn_network(Model.model_validate({"name": "resnet9", "width": 2}), some_images(), seed=seed).state_dict()
        for seed in (0, 0, 1)
    )
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert not torch.equal(other["head.2.weight"], first["head.2.weight"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "fastresnet9", "width": 2},
        {"name": "resnet9", "norm": "handmade", "width": 2},
        {"name": "handmade_mlp"},
    ],
)
def test_every_batch_norm_gets_the_momentum(arguments: dict[str, Any]) -> None:
    net = build_network(Model.model_validate({"norm_momentum": 0.4, **arguments}), some_images())
    momenta = {layer.momentum for layer in net.modules() if isinstance(layer, _BatchNorm | HandmadeBatchNorm)}
    assert momenta == {0.4}


@pytest.mark.parametrize("name", ["handmade_mlp", "handmade_cnn"])
def test_a_momentum_of_null_is_that_of_the_network(name: str) -> None:
    net = build_network(Model(name=name), some_images(size=32))
    assert {layer.momentum for layer in net.modules() if isinstance(layer, HandmadeBatchNorm)} == {0.1}


@pytest.mark.parametrize("name", ["handmade_mlp", "handmade_cnn"])
def test_a_momentum_of_null_is_the_same_run_as_none_given(name: str) -> None:
    words = [f"model.name={name}", "data.name=shapes10"]
    left_out, null = (
        load_config([*words, *more], complete=complete_parts).config for more in ([], ["model.norm_momentum=null"])
    )
    assert null.model.norm_momentum == 0.1
    assert config_hash(null) == config_hash(left_out)


@pytest.mark.parametrize("name", ["handmade_mlp", "handmade_cnn"])
def test_layers_in_an_order_without_batch_norm_leave_the_momentum_unused(name: str) -> None:
    problems, whole = complete_arguments(name, {"order": ["linear", "act", "dropout"]})
    assert (problems, whole["norm_momentum"]) == ([], 0.1)  # in every resolved config of these networks
    net = build_network(Model.model_validate({"name": name, **whole}), some_images(size=32))
    assert not any(isinstance(layer, HandmadeBatchNorm) for layer in net.modules())


@pytest.mark.parametrize("name", model_names())
def test_no_argument_but_the_momentum_has_the_name_of_a_key_of_every_network(name: str) -> None:
    assert options_of(name).keys() & Model.model_fields.keys() <= {"norm_momentum"}


def test_a_network_without_batch_norm_has_no_momentum() -> None:
    with pytest.raises(ConfigError, match=r"^model.norm_momentum: lenet5 has no BatchNorm; leave it out$"):
        build_network(Model(name="lenet5", norm_momentum=0.4), some_images(size=32))


NO_FIRST_BIAS = "optimizer.first_bias: the network's first layer has no bias that is trained; set optimizer.first_bias."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["model.name=lenet5", "model.norm_momentum=0.4"],
            ["model.norm_momentum: lenet5 has no BatchNorm; leave it out"],
        ),
        (
            ["model.name=resnet9", "model.norm=group", "model.norm_momentum=0.4"],
            ["model.norm_momentum: resnet9 has no BatchNorm; leave it out"],
        ),
        (
            ["model.name=timm/test_vit", "model.norm_momentum=0.4"],
            ["model.norm_momentum: timm/test_vit has no BatchNorm; leave it out"],
        ),
        (["recipe=cpu94", "model.name=resnet18"], [f"{NO_FIRST_BIAS}end_epoch=null"]),
        (["recipe=speed94", "model.whitening_bias=false"], [f"{NO_FIRST_BIAS}end_epoch=null"]),
        (
            ["recipe=speed95", "model.name=resnet20", "model.norm=none", "model.norm_momentum=0.4"],
            [
                "model.norm_momentum: resnet20 has no BatchNorm; leave it out",
                f"{NO_FIRST_BIAS}lr_scale=null optimizer.first_bias.weight_decay=null"
                " optimizer.first_bias.end_epoch=null",
            ],
        ),
    ],
)
def test_what_a_key_asks_of_a_network_without_it_is_refused_before_training(words: list[str], said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(words, complete=complete_parts)
    assert list(caught.value.problems) == said


@pytest.mark.parametrize(
    "words",
    [
        ["model.name=resnet9", "model.norm_momentum=0.4"],
        ["model.name=vgg_a", "model.norm=batch", "model.norm_momentum=0.4"],
        ["model.name=timm/test_resnet", "model.norm_momentum=0.4"],
        ["model.name=handmade_mlp", "model.order=[linear,act]", "model.norm_momentum=0.4"],
        ["recipe=cpu94", "model.name=vgg_a"],
        ["recipe=cpu94", "model.whitening_bias=false", "optimizer.first_bias.end_epoch=null"],
    ],
)
def test_what_a_key_asks_of_a_network_that_has_it_is_let_pass(words: list[str]) -> None:
    load_config(words, complete=complete_parts)


def test_whitening_sees_images_from_all_over_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.training.networks._WHITENED", 6)
    seen: list[int] = []
    monkeypatch.setattr(PatchWhitening, "fit", lambda _, images: seen.extend(images[:, 0, 0, 0].tolist()))
    labelled = some_images()
    images = torch.arange(60, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    labelled = replace(labelled, train=Split(images, labelled.train.labels), mean=(0.0,) * 3, std=(1 / 255,) * 3)
    fit_whitening(build_network(Model.model_validate({"name": "fastresnet9", "width": 2}), labelled), labelled)
    assert seen == pytest.approx([0, 10, 20, 30, 40, 50])


def test_the_whitening_is_frozen_and_computed_before_training() -> None:
    model = Model.model_validate({"name": "fastresnet9", "width": 2})
    torch.manual_seed(0)
    net = build_network(model, some_images())
    before = net.get_parameter("features.stem.0.weight").detach().clone()
    fit_whitening(net, some_images())
    after = net.get_parameter("features.stem.0.weight")
    assert not torch.equal(before, after)
    assert not after.requires_grad
