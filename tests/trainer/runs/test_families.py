"""Families of comparisons: with which control each configuration is compared."""

from itertools import product

from trainer.runs.families import Arm, Family, families_of, in_words
from trainer.runs.groups import label


def arms(**choices: list[object]) -> list[Arm]:
    """All combinations of these choices, `model_name=["vgg_a"]` for the key `model.name`."""
    keys = [key.replace("_", ".") for key in choices]
    points = [dict(zip(keys, values, strict=True)) for values in product(*choices.values())]
    return [Arm(label(point), point) for point in points]


def test_a_choice_has_a_family_for_each_combination_of_the_others() -> None:
    grid = arms(model_act=["relu", "gelu"], optimizer_lr=[0.1, 0.2])
    assert families_of("act=relu", grid) == [
        Family(f"act=relu, lr={rate}", (f"act=relu, lr={rate}", f"act=gelu, lr={rate}")) for rate in (0.1, 0.2)
    ]
    assert in_words("act=relu", grid) == "act=relu with the same lr"


def test_a_control_of_two_choices_has_a_family_for_each_learning_rate() -> None:
    """Before: `# Control: vgg_a, act=relu` of a sweep over learning rates, too, was compared with nothing."""
    grid = arms(model_name=["vgg_a", "vgg_a_bn"], model_act=["relu", "gelu"], optimizer_lr=[0.1, 0.2])
    found = families_of("vgg_a, act=relu", grid)
    assert [(each.control, len(each.members)) for each in found] == [
        ("vgg_a, act=relu, lr=0.1", 4),
        ("vgg_a, act=relu, lr=0.2", 4),
    ]
    assert in_words("vgg_a, act=relu", grid) == "vgg_a, act=relu with the same lr"


def test_keys_of_one_last_part_are_named_in_full() -> None:
    grid = arms(model_act=["relu", "gelu"], head_act=["relu", "tanh"], optimizer_lr=[0.1, 0.2])
    assert [each.control for each in families_of("head.act=relu, model.act=relu", grid)] == [
        "head.act=relu, model.act=relu, lr=0.1",
        "head.act=relu, model.act=relu, lr=0.2",
    ]


def test_a_choice_of_a_whole_section_is_found_although_its_label_has_commas() -> None:
    grid = arms(mix=[{"name": "cutmix", "alpha": 1}, None], optimizer_lr=[0.1, 0.2])
    name = label({"mix": {"name": "cutmix", "alpha": 1}})
    assert ", " in name and [len(each.members) for each in families_of(name, grid)] == [2, 2]


def test_what_nothing_is_called_has_no_family() -> None:
    grid = arms(model_name=["vgg_a", "vgg_a_bn"], optimizer_lr=[0.1, 0.2])
    assert families_of("vgg_b", grid) == [] and families_of("lr=0.3", grid) == []
    assert in_words("vgg_b", grid) == "vgg_b"
