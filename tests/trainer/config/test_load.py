"""Layers of settings, how words are read, and what is said of a mistake."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from trainer.config import RunConfig, load_config
from trainer.config.explain import section_types
from trainer.config.load import validate
from trainer.config.overrides import flatten, lay_over, nest, read_overrides, read_value, write_override
from trainer.config.recipes import read_settings_file, read_stored_file, recipe_names
from trainer.config.show import with_origins
from trainer.errors import ConfigError
from trainer.sinks.packages import refuse_unusable
from trainer.training.network_arguments import complete_parts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("true", True),
        ("True", True),
        ("None", None),
        ("null", None),
        ("[60, 120]", [60, 120]),
        ("(1, 2)", (1, 2)),
        ("{'a': 1, 'b': True}", {"a": 1, "b": True}),
        ("cosine", "cosine"),
        ("0.10", 0.1),
        ("a=b", "a=b"),
        ("[a]", ["a"]),
        ("[a b, 1e-3,c]", ["a b", 1e-3, "c"]),
        ("[a,]", "[a,]"),
        ("[a] [b]", "[a] [b]"),
        ("", ""),
    ],
)
def test_values_are_read_as_json_then_python_then_text(text: str, value: object) -> None:
    assert read_value(text) == value


NAMES = ["12e4567", "00012e45", "1e3", "0x10", "007", "1.10", "1_000", "True", "true", "FALSE", "NaN", "1e999", "2024"]


@pytest.mark.parametrize("text", NAMES)
def test_a_field_of_text_gets_a_name_that_looks_like_a_number_as_it_was_typed(text: str) -> None:
    words = [f"sink.wandb.{key}={text}" for key in ("project", "group", "entity")]
    config = load_config([*words, f"sink.wandb.tags=[{text}, a,{text}]", f"data.root={text}"]).config
    wandb = config.sink.wandb
    assert {wandb.project, wandb.group, wandb.entity} == {text}
    assert wandb.tags == (text, "a", text)
    assert getattr(config.data, "root") == Path(text)  # noqa: B009 - the union of sets has it in most members only
    assert write_override("sink.wandb.group", text).partition("=")[2] in (text, f'"{text}"')
    assert load_config([write_override("sink.wandb.group", text)]).config.sink.wandb.group == text


def test_a_field_of_text_is_still_read_as_json_or_python_where_that_says_more() -> None:
    words = ['sink.wandb.project="1e3"', "sink.wandb.group=None", "sink.wandb.tags=['a,b', \"007\", 1e3, 1.10]"]
    wandb = load_config(words).config.sink.wandb
    assert (wandb.project, wandb.group, wandb.tags) == ("1e3", None, ("a,b", "007", "1e3", "1.10"))
    assert load_config(["sink.wandb.tags=1.50,2.5"]).config.sink.wandb.tags == ("1.50", "2.5")
    assert load_config(["sink.wandb.checkpoint=true"]).config.sink.wandb.checkpoint is True
    assert read_overrides(["sink.wandb.group=2024", "sink.wandb.tags=[1, 2]"]) == {
        "sink": {"wandb": {"group": 2024, "tags": [1, 2]}}
    }  # as points of sweeps that were begun have them


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "sink.wandb.project=a/b",
            "sink.wandb.project: 'a/b' has a '/'; W&B takes no project with one of / \\ # ? % :",
        ),
        (f"sink.wandb.project={129 * 'p'}", "sink.wandb.project: has 129 characters; W&B takes 128"),
        (f"sink.wandb.tags=[a, {70 * 't'}]", "sink.wandb.tags.1: has 70 characters; a tag of W&B's has 1 to 64"),
        ("sink.wandb.tags=['']", "sink.wandb.tags.0: has 0 characters; a tag of W&B's has 1 to 64"),
    ],
)
def test_a_name_that_wandb_forbids_is_refused_before_the_run(word: str, said: str) -> None:
    """Before: the run trained to its end, and nothing was recorded."""
    with pytest.raises(ConfigError) as caught:
        load_config([word])
    assert caught.value.problems == (said,)


def test_a_stored_config_with_such_a_name_is_read_and_resumed_with_another() -> None:
    """Before: with W&B off the name was no trouble, and then the run's weights could not be read any more."""
    stored = validate(nest({"sink.wandb.project": "me/cifar", "sink.wandb.mode": "offline"}))
    with pytest.raises(ConfigError, match=r"^sink\.wandb\.project: 'me/cifar' has a '/'"):
        refuse_unusable(stored.sink)
    assert load_config(["sink.wandb.project=me/cifar", "sink.wandb.mode=disabled"])
    for cure in ({"sink.wandb.mode": "disabled"}, {"sink.wandb.project": "cifar"}):
        refuse_unusable(validate(lay_over(stored.model_dump(mode="json"), nest(cure))).sink)


OLD_YAML = ["0123456", "010", "1:30", "190:20:30.15", "1_000", "0x10", "0b11", "1.10", "1e3", ".inf", "yes", "off"]


@pytest.mark.parametrize("text", [*OLD_YAML, "True", "2024-05-01", "2024"])
def test_a_field_of_text_gets_what_is_written_in_a_file(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"sink.wandb: {{entity: {text}, tags: [{text}, a]}}\nsink: {{wandb.group: {text}}}\ndata.root: {text}"
    )
    config = load_config(file=file).config
    wandb = config.sink.wandb
    assert (wandb.entity, wandb.group, wandb.tags) == (text, text, (text, "a"))
    assert config.model_dump()["data"]["root"] == Path(text)
    file.write_text("sink: {wandb: {group: null, entity: ~, project: !!str 1, panels: '007'}, console: {mode: off}}")
    sink = load_config(file=file).config.sink
    assert (sink.wandb.group, sink.wandb.entity, sink.wandb.project, sink.wandb.panels) == (None, None, "1", "007")
    assert sink.console.mode == "off"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 010", "line 1: seed: 010 is 8 to YAML 1.1; write 10, or '010' if it is text"),
        ("a: 1\nseed: -010", "line 2: seed: -010 is -8 to YAML 1.1; write -10, or '-010' if it is text"),
        ("train:\n  epochs: 1:30", "line 2: train.epochs: 1:30 is 90 to YAML 1.1; write 90, or '1:30' if it is text"),
        (
            "train: {epochs: 1:3.5}",
            "line 1: train.epochs: 1:3.5 is 63.5 to YAML 1.1; write 63.5, or '1:3.5' if it is text",
        ),
        ("data: {mean: [010]}", "line 1: data.mean: 010 is 8 to YAML 1.1; write 10, or '010' if it is text"),
    ],
)
def test_a_number_that_yaml_reads_in_another_way_is_refused(text: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(file=file)
    assert error.value.problems == (f"{file}: {line}",)


def test_numbers_with_zeros_before_them_that_mean_the_same_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 07\ntrain: {epochs: 00.5, batch_size: 0x10, log_every: 00}\nmodel: {name: '010'}")
    config = load_config(file=file).config
    assert (config.seed, config.train.epochs, config.train.batch_size, config.model.name) == (7, 0.5, 16, "010")


@given(st.text())
def test_any_text_comes_into_a_field_of_text_as_it_was_written(text: str) -> None:
    assert load_config([write_override("sink.wandb.entity", text)]).config.sink.wandb.entity == text


def test_both_forms_of_a_word_mean_the_same() -> None:
    assert read_overrides(["--optimizer.lr=0.4", "seed=1"]) == read_overrides(["optimizer.lr=0.4", "--seed=1"])


def test_a_value_and_a_section_under_one_key_are_refused() -> None:
    with pytest.raises(ConfigError, match="both as a value and as a section"):
        read_overrides(["optimizer=1", "optimizer.lr=2"])


KEYS = st.sampled_from(["a", "b", "c"])
NESTED = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=8)


@given(st.dictionaries(KEYS, NESTED, min_size=1))
def test_flattening_and_nesting_are_inverse(settings: dict[str, object]) -> None:
    assert nest(flatten(settings)) == settings


def test_layers_lie_in_order_and_say_where_a_value_came_from(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("optimizer.lr: 0.5\ntrain: {epochs: 3}\n")
    loaded = load_config(["train.epochs=4", "model.name=fastresnet9"], file=file)
    assert loaded.config.train.epochs == 4  # word over file
    assert loaded.config.optimizer.lr == 0.5  # file over recipe
    assert loaded.config.train.batch_size == 512  # recipe over default
    assert {loaded.origins[key] for key in ("train.epochs", "optimizer.lr", "train.batch_size", "seed")} == {
        "command line",
        f"file {file}",
        "recipe fastresnet9",
        "default",
    }


def test_a_network_starts_from_the_recipe_of_its_name_unless_told_not_to() -> None:
    assert load_config(["model.name=fastresnet9"]).config.train.batch_size == 512
    assert load_config(["model.name=fastresnet9"], recipe="none").config.train.batch_size == 128
    assert load_config(["recipe=fastresnet9"]).config.model.name == "fastresnet9"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_config(name: str) -> None:
    load_config(recipe=name, complete=complete_parts)


def test_epochs_are_stored_as_whole_numbers_if_they_are() -> None:
    def stored(text: str) -> Any:
        return load_config([f"train.epochs={text}"]).config.model_dump(mode="json")["train"]["epochs"]

    assert [repr(stored(text)) for text in ("3", "3.0", "2.5")] == ["3", "3", "2.5"]


WORDS = ["optimizer.name=adamw", "optimizer.beta1=0.8", "optimizer.lr=0.01", "schedule.name=constant", "train.epochs=2"]


@given(st.permutations(WORDS))
def test_changing_a_name_drops_the_old_knobs_in_any_order_of_the_words(words: list[str]) -> None:
    config = load_config(["model.name=fastresnet9", *words]).config  # its recipe sets momentum, nesterov, knots
    assert config.optimizer.model_dump() == {
        "name": "adamw",
        "lr": 0.01,
        "beta1": 0.8,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 1e-2,
        "decay_norm_and_bias": False,
        "norm_and_bias_lr_scale": 1.0,
        "norm_and_bias_end_epoch": None,
        "head": {"lr_scale": None, "weight_decay": None, "end_epoch": None},
        "first_bias": {"lr_scale": None, "weight_decay": None, "end_epoch": None},
        "lookahead": {"steps": 0, "alpha": 0.5, "ramp_power": 0.0},
    }


def test_a_changed_name_drops_the_origins_of_the_old_choice_too() -> None:
    loaded = load_config(["schedule.name=cosine", "optimizer.name=adamw"], recipe="fastresnet9")
    said = {key: loaded.origins[key] for key in ("optimizer.name", "optimizer.lr", "optimizer.weight_decay")}
    assert said == {"optimizer.name": "command line", "optimizer.lr": "default", "optimizer.weight_decay": "default"}


@pytest.mark.parametrize("name", ["basic_cnn", "improved_cnn", "simp_res9_best"])
def test_another_data_set_keeps_the_parts_of_the_recipe_but_not_its_colours(name: str) -> None:
    recipe = load_config(recipe=name).config.data
    loaded = load_config([f"model.name={name}", "data.name=shapes10"], recipe=name)
    data = loaded.config.data
    assert (data.name, data.val_fraction, data.train_size) == ("shapes10", recipe.val_fraction, recipe.train_size)
    assert (data.mean, data.std) == (None, None)
    assert loaded.config.train.early_stop == load_config(recipe=name).config.train.early_stop


def test_another_data_set_keeps_the_parts_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {name: cifar100, val_fraction: 0.2, train_size: 500, root: elsewhere}")
    loaded = load_config(["data.name=shapes10", "data.train_size=300"], file=file)
    assert loaded.config.data.model_dump(exclude={"seed", "mean", "std", "also_test", "also_root"}) == {
        "name": "shapes10",
        "val_fraction": 0.2,
        "train_size": 300,
    }
    assert (loaded.origins["data.val_fraction"], loaded.origins["data.train_size"]) == (f"file {file}", "command line")


def test_a_layer_that_repeats_a_name_keeps_the_knobs() -> None:
    assert lay_over({"name": "sgd", "lr": 1}, {"name": "sgd", "momentum": 0}) == {"name": "sgd", "lr": 1, "momentum": 0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimizer.lrr=1"], ["optimizer.lrr: sgd has no such field; did you mean 'lr'?"]),
        (["optimizer.name=sdg"], ["optimizer.name: no optimizer is called 'sdg'; did you mean 'sgd'?"]),
        (["optimizer=adamw"], ["optimizer: 'adamw' is not a section"]),
        (["train.epochs=ten"], ["train.epochs: 'ten':"]),
        (["train.epochs=-1"], ["train.epochs: -1: input should be greater than or equal to 0.001"]),
        (["train.epochs=1e-10"], ["train.epochs: 1e-10: input should be greater than or equal to 0.001"]),
        (["train.epochs=true"], ["train.epochs: 'true': input should be a valid number"]),
        (["train.epochs=true", "train.batch_size=0"], ["train.epochs", "train.batch_size: 0"]),
        (["train.precision=bf16"], ["train.precision: 'bf16' is not a choice; did you mean 'bfloat16'?"]),
        (["model.name=handmade_mlp", "model.norm_eps=0"], ["model.norm_eps: 0: input should be greater than 0"]),
        (["sink.wandb.mode=of"], ["sink.wandb.mode: 'of' is not a choice"]),
        (["learning_rate=1"], ["learning_rate: no such key"]),
        (["optimizer.nesterov=true", "optimizer.momentum=0"], ["nesterov=true needs momentum > 0"]),
        (["schedule.name=piecewise", "schedule.epochs=[0, 2, 1]", "schedule.factors=[0, 1, 1]"], ["epochs must rise"]),
        (["data.name=folder"], ["data.root: needs a value"]),
        (["data.root=null"], ["data.root: None is not a path"]),
        (["model.name=fastresnet"], ["did you mean 'fastresnet9'?"]),
        (["optimizer.lr=nan"], ["optimizer.lr:"]),
        (["optimizer.lr=1e300"], ["optimizer.lr: 1e+300: input should be less than or equal to 10000000000"]),
        (["optimizer.name=adamw", "optimizer.lr=1e39"], ["optimizer.lr: 1e+39: input should be less than or equal to"]),
        (
            ["optimizer.weight_decay=1e39", "optimizer.head.weight_decay=1e39"],
            ["optimizer.weight_decay", "head.weight_decay"],
        ),
        (
            ["optimizer.decay_norm_and_bias=1e39"],
            ["optimizer.decay_norm_and_bias: 1e+39: input should be less than or equal to"],
        ),
        (["optimizer.decay_norm_and_bias=yess"], ["optimizer.decay_norm_and_bias: 'yess'"]),
        (
            ["optimizer.lr=1e6", "optimizer.head.lr_scale=1e6"],
            ["head.lr_scale times lr is 1e+12; a rate is at most 1e+10"],
        ),
        (["optimizer.lr=1e6", "optimizer.norm_and_bias_lr_scale=1e6"], ["norm_and_bias_lr_scale times lr is 1e+12"]),
        (["optimizer.name=muon", "optimizer.expand=99999999999999999999999"], ["optimizer.expand"]),
        (["probe.walk.reference_lr=1e39", "probe.walk.max_step=1e39"], ["walk.reference_lr", "walk.max_step"]),
        (["probe.walk.points=1000000000", "probe.drift.log_spaced=1000000000"], ["walk.points", "drift.log_spaced"]),
        (["augment.side.pixels=[99999999999999999999999]", "augment.side.from_epochs=[0]"], ["augment.side.pixels"]),
        (["augment.crop.padding=99999999999999999999999"], ["augment.crop.padding"]),
        (["schedule.name=cosine", "schedule.final_factor=1e300"], ["schedule.final_factor"]),
        (["schedule.name=one_cycle", "schedule.final_div_factor=1e-300"], ["schedule.final_div_factor"]),
        (["data.name=folder", "data.root=x", "data.image_size=99999999999999999999999"], ["data.image_size"]),
        (["seed=-1"], ["seed: -1:"]),
        (["sink.wandb.tags=a"], ["sink.wandb.tags: 'a' is not a list; write sink.wandb.tags=[a]"]),
        (["data.std=0.25"], ["data.std: 0.25 is not a list; write data.std=[0.25]"]),
        (["optimizer.name=AdamW"], ["no optimizer is called 'AdamW'; did you mean 'adamw'?"]),
        (["optimizer.LR=1"], ["optimizer.LR: sgd has no such field; did you mean 'lr'?"]),
        (["model.name=VGG_A"], ["did you mean 'vgg_a'?"]),
        (["train.precision=BFloat16"], ["did you mean 'bfloat16'?"]),
        (
            ["data.mean=[125.3,123.0,113.9]"],
            ["above 1, but these are fractions of white; write [0.4914, 0.4824, 0.4467]"],
        ),
        (["data.std=[63, 62.1, 0.26]"], ["data.std: [63.0, 62.1, 0.26] is above 1"]),
        (["data.mean=[1000, 1, 1]"], ["data.mean: [1000.0, 1.0, 1.0] is above 1, but these are fractions of white"]),
        (["train.epochs=0", "optimizer.lrr=1", "model.x=1"], ["train.epochs", "optimizer.lrr", "model.x"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_each_mistake_is_one_line_with_its_key_and_all_are_told_at_once(words: list[str], said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(words, complete=complete_parts)
    problems = caught.value.problems
    assert len(problems) == len(said)
    for part in said:
        assert any(part in line for line in problems), problems
    assert not any("\n" in line for line in problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "not YAML"),
        ("a: 2026-99-99", "not YAML"),
        ("a: &a {b: *a}", "an alias inside of what it stands for"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: !!int x", "not YAML"),
        ("a: !!bool x", "not YAML: a value does not have the type of its !!tag"),
        ("a: !!timestamp x", "not YAML: a value does not have the type of its !!tag"),
        ("a: 0x" + "f" * 300, "a whole number above 1e300"),
        ("a: " + "9" * 5000, "not YAML"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)),
            "its aliases make more than 1,000,000 values of it",
        ),
        ("a: \x00", "not YAML"),
        ("a" * 1_000_001, "longer than 1,000,000 characters"),
        ("- 1", "expected keys and values"),
        ("recipe: nope", "no recipe is called"),
        ("seed: 1\nseed: 1", "yaml: seed: given twice"),
        ("optimizer: {lr: 1, lr: 2}", r"yaml: optimizer\.lr: given twice"),
        ("optimizer.lr: 1\noptimizer: {lr: 2}", r"yaml: optimizer\.lr: given twice"),
        ("optimizer: {lr: 1}\noptimizer: {lr: 2}", "yaml: optimizer: given twice$"),
    ],
)
def test_a_broken_config_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_config(file=file)


def test_the_shown_config_can_be_read_back(tmp_path: Path) -> None:
    loaded = load_config(["model.name=fastresnet9", "model.width=8", "sink.wandb.tags=['a b']"])
    file = tmp_path / "shown.yaml"
    file.write_text(with_origins(loaded))
    assert load_config(file=file).config == loaded.config


def unions(section: type[BaseModel] = RunConfig, path: str = "") -> dict[str, list[type[BaseModel]]]:
    """The options of each union told apart by `name`, anywhere in the config."""
    found: dict[str, list[type[BaseModel]]] = {}
    for key, field in section.model_fields.items():
        options = section_types(field.annotation)
        found |= {f"{path}{key}": options} if len(options) > 1 else {}
        for option in options:
            found |= unions(option, f"{path}{key}.")
    return found


UNIONS = unions()
ONE_OR_OWN = ["augment.extra", "probe.extra"]  # none, or a part of the user's
NEED_ROOT = ("folder", "npz", "huggingface")
NAMED = [
    (key, option.model_fields["name"].default, option)
    for key, options in UNIONS.items()
    for option in options
    if isinstance(option.model_fields["name"].default, str) and key not in ONE_OR_OWN
]


def test_the_unions_are_these() -> None:
    assert set(UNIONS) == {
        "data", "optimizer", "schedule", "loss", "augment.auto", "augment.erasing", "augment.mix", *ONE_OR_OWN
    }  # fmt: skip


@pytest.mark.parametrize(("key", "name", "option"), NAMED, ids=[f"{key}.{name}" for key, name, _ in NAMED])
def test_every_choice_refuses_the_knobs_of_its_neighbours(key: str, name: str, option: type[BaseModel]) -> None:
    foreign = {knob for each in UNIONS[key] for knob in each.model_fields} - set(option.model_fields)
    needed = ["data.root=somewhere"] if name in NEED_ROOT else []
    for knob in foreign:
        with pytest.raises(ConfigError) as caught:
            load_config([f"{key}.name={name}", f"{key}.{knob}=1", *needed])
        assert caught.value.problems[0].startswith(f"{key}.{knob}: {name} has no such field")
    with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
        load_config([f"{key}.name={name}zz", *needed])


@given(st.data())
def test_any_change_of_a_name_leaves_only_the_new_choice_s_defaults(data: st.DataObject) -> None:
    key, name, _ = data.draw(st.sampled_from([each for each in NAMED if each[1] not in NEED_ROOT]))
    others = [(old, option) for place, old, option in NAMED if place == key and old not in (name, *NEED_ROOT)]
    old, option = data.draw(st.sampled_from(others))
    knobs = {k: f.get_default(call_default_factory=True) for k, f in option.model_fields.items()}
    base = lay_over(RunConfig().model_dump(), nest({f"{key}.name": old}))
    base = lay_over(base, nest({f"{key}.{knob}": value for knob, value in knobs.items()}))
    words = data.draw(st.permutations([f"{key}.name={name}", "train.epochs=3", "seed=1"]))
    changed: Any = validate(lay_over(base, read_overrides(words)))
    expected: Any = load_config([f"{key}.name={name}"], recipe="none").config
    for part in key.split("."):
        changed, expected = getattr(changed, part), getattr(expected, part)
    assert changed == expected


TRICKY = ["seed: 1", "model:", "  name: lenet5", "  name: x", "  act: 'a", "b: c'", "  b: c'", "optimizer: {lr: 1}",
          "optimizer: {lr: 2}", "a: &x 1", "b: *x", "  c: *x", "", "# note", "a: |", "  two: lines", "---", "c: [1,",
          "  d: ]", "model.name: x", "a: 2026-99-99"]  # fmt: skip


@given(st.lists(st.sampled_from(TRICKY), max_size=8))
def test_a_stored_file_is_read_as_any_other(lines: list[str]) -> None:
    """Also where it was edited by hand, so that its sections are no longer YAML on their own."""

    def read(reader: Callable[[Path], object]) -> object:
        try:
            return reader(path)
        except ConfigError as error:
            return error.problems

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text("".join(f"{line}\n" for line in lines))
        assert read(read_stored_file) == read(read_settings_file)


def test_what_is_done_to_the_settings_of_one_file_is_not_seen_in_the_next(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model:\n  name: lenet5\n")
    settings: Any = read_stored_file(path)
    settings["model"]["name"] = "resnet18"
    assert read_stored_file(path) == {"model": {"name": "lenet5"}}
