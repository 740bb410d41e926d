"""Sweep files by W&B's rules: what is refused and how it is said, and what is warned of."""

import json
from itertools import islice
from pathlib import Path
from typing import get_args

import pytest
import yaml

from trainer.cli import options
from trainer.errors import SweepError
from trainer.sweep.check import check
from trainer.sweep.command import FLAGS
from trainer.sweep.file import Sweep, parse_sweep, read_sweep, with_overrides
from trainer.sweep.header import seeds_until
from trainer.sweep.order import with_seeds
from trainer.sweep.points import points_of
from trainer.sweep.space import grid, read_parameters

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
WHOLE = """
project: p
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
"""


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_gets_the_line_that_it_begins_with(path: Path) -> None:
    expected = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    with pytest.raises(SweepError) as caught:
        check(read_sweep(path))
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: {expected}")


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(SweepError, match=r"^nowhere\.yaml: No such file or directory$"):
        read_sweep(Path("nowhere.yaml"))


SCHEDULES = f"{WHOLE}parameters: {{seed: {{values: [0, 1]}}, schedule.name: {{values: [constant, cosine]}}}}"
RATES = (
    f"{WHOLE}parameters: {{seed: {{value: 0}}, model.name: {{values: [vgg_a, vgg_a_bn]}},"
    " optimizer.lr: {values: [0.1, 0.2]}}"
)


@pytest.mark.parametrize(
    ("comment", "text", "line"),
    [
        ("Control:  cosin", SCHEDULES, "Control: cosin: no such configuration; did you mean 'cosine'?"),
        ("Control:  step", SCHEDULES, "Control: step: no such configuration; one of constant, cosine"),
        ("Control:  vgg_b", RATES, "Control: vgg_b: no such configuration; did you mean 'vgg_a'?"),
        ("Control:  lr=0.1\n# Outcome:  rates/decades, higher", RATES,
         "Control: lr=0.1: no such configuration; one of vgg_a, vgg_a_bn"),
        ("Control:", SCHEDULES, "Control: it names nothing"),
        ("Control:  cosine\n# Control:  constant", SCHEDULES, "Control: given twice"),
        ("Controls:  cosine", SCHEDULES, "Controls: cosine: no such key; did you mean 'Control'?"),
        ("outcome:  train/loss, lower", SCHEDULES, "outcome: train/loss, lower: no such key; did you mean 'Outcome'?"),
        ("Control:  x", SCHEDULES.replace("grid", "random"), "Control: x: a search has no configurations to name"),
    ],
)  # fmt: skip
def test_a_comment_that_the_report_cannot_read_is_a_line(comment: str, text: str, line: str) -> None:
    """Before: ignored in silence, so the page compared nothing with the control."""
    with pytest.raises(SweepError) as caught:
        parse_sweep(f"# A question?\n# {comment}\n{text}", Path("s.yaml"))
    assert caught.value.problems == (f"s.yaml: # {line}",)


@pytest.mark.parametrize("control", ["vgg_a", "vgg_a, lr=0.2"])
def test_a_control_is_a_configuration_or_a_network_at_all_rates(control: str) -> None:
    assert parse_sweep(f"# A question?\n# Control:  {control}\n{RATES}", Path("s.yaml")).header.control == control


def test_a_control_is_a_choice_of_any_of_the_keys() -> None:
    """Before: of one key, or of all but the learning rate or the epochs."""
    more = RATES.replace("parameters: {", "parameters: {model.act: {values: [relu, gelu]}, ")
    head = "# A question?\n# Control:  vgg_a, act=relu\n"
    for key in ("optimizer.lr", "optimizer.weight_decay"):
        assert parse_sweep(f"{head}{more.replace('optimizer.lr', key)}", Path("s.yaml")).header.control
    with pytest.raises(SweepError, match="Control: all: no such configuration"):
        parse_sweep(f"# A question?\n# Control:  all\n{more}", Path("s.yaml"))


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    with pytest.raises(SweepError) as caught:
        parse_sweep("metod: grid\nparameters: {seed: 3, optimizer.lr: {vales: [1]}}", Path("s.yaml"))
    assert [line.split(": ")[1] for line in caught.value.problems] == [
        "method",
        "metod",
        "parameters.seed",
        "parameters.optimizer.lr",
    ]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            f"{WHOLE}parameters: {{seed: {{value: 0}}, optimizer.lr: {{values: [0.1, 1e-3]}}}}",
            "parameters.optimizer.lr: '1e-3' is text to YAML 1.1 and to W&B's charts; write 0.001",
        ),
        (
            f"{WHOLE}parameters: {{seed: {{value: 0}}, optimizer.lr: {{values: [0.1, 1e-05]}}}}",
            "parameters.optimizer.lr: '1e-05' is text to YAML 1.1 and to W&B's charts; write 1.0e-05",
        ),
        (
            f"{WHOLE}parameters: {{seed: {{value: 0}}, data.train_size: {{values: [100, None]}}}}",
            "parameters.data.train_size: 'None' is text to YAML 1.1 and to W&B's charts; write null",
        ),
        (
            f"{WHOLE}parameters:\n  seed: {{value: 0}}\n  sink.wandb.tags: {{value: [on]}}",
            "line 8: on is true or false to YAML 1.1; quote it if it is a word",
        ),
        (f"{WHOLE}parameters: {{optimizer.lr: {{value: 0.1}}}}", "seed: not a parameter, so every point is run once"),
        (
            "method: grid\ncommand: [trainer]\nparameters: {seed: {value: 0}}",
            "project: not named, so that W&B files the sweep under `uncategorized`",
        ),
        (
            "method: grid\nproject: p\nparameters: {seed: {value: 0}}",
            "command: missing, so that W&B has nothing to run; ours is ['${env}', 'trainer', 'train', "
            "'${args_no_hyphens}']",
        ),
        (
            "method: random\nproject: p\ncommand: [trainer]\nparameters: {seed: {values: [0, 1]}}",
            "run_cap: random never ends without it",
        ),
    ],
)
def test_what_wandb_takes_silently_is_warned_of(text: str, warning: str) -> None:
    (found,) = parse_sweep(text, Path("s.yaml")).warnings
    assert found.startswith(warning)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("metric: {name: test/acuracy}", "metric.name: the trainer does not log 'test/acuracy'; did you mean"),
        ("metric: {name: test/accuracy}", "metric.goal: test/accuracy is minimized, so the lowest counts as best"),
        ("metric: {name: test/loss, goal: maximize}", "metric.goal: test/loss is maximized, so the highest counts"),
        (
            "metric: {name: val/accuracy, goal: maximize}",
            "metric.name: val/accuracy needs a validation set; set data.val_fraction",
        ),
    ],
)
def test_a_metric_that_no_point_logs_is_warned_of(text: str, warning: str) -> None:
    whole = f"project: p\nmethod: grid\ncommand: [trainer]\n{text}\nparameters: {{seed: {{value: 0}}}}"
    (found,) = check(parse_sweep(whole, Path("s.yaml"))).warnings
    assert found.startswith(warning)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Before: the header was lost, and the copy beside the runs of `--until decided` could not be read."""
    path = tmp_path / "s.yaml"
    swept = "{seed: {values: [0, 1]}, model.act: {values: [relu, gelu]}}"
    text = f"# Which is best?\n# Control: act=relu\n{WHOLE}parameters: {swept}"
    path.write_text(text, encoding="utf-8-sig")
    sweep = read_sweep(path)
    assert (sweep.header.question, sweep.header.control) == ("Which is best?", "act=relu")


def test_a_search_on_the_test_set_is_warned_of() -> None:
    text = WHOLE.replace("grid", "random") + "run_cap: 2\nparameters: {seed: {values: [0, 1]}}"
    (found,) = check(parse_sweep(text, Path("s.yaml"))).warnings
    assert found == "metric.name: a random search by test/accuracy chooses on the test set; use val/accuracy"


def test_two_points_that_are_one_run_are_warned_of() -> None:
    sets = f"{WHOLE}parameters: {{seed: {{value: 0}}, recipe: {{values: [none, resnet18]}}}}"
    assert check(parse_sweep(sets, Path("s.yaml"))).warnings == ()
    same = f"{WHOLE}parameters: {{seed: {{value: 0}}, data.root: {{values: [data, elsewhere]}}}}"
    (warning,) = check(parse_sweep(same, Path("s.yaml"))).warnings
    assert warning == "points 'root=data' and 'root=elsewhere' are the same run"


def test_nested_parameters_are_flat_dotted_keys() -> None:
    nested = "parameters: {seed: {value: 0}, optimizer: {parameters: {lr: {values: [0.1, 1.0]}}}}"
    flat = "parameters: {seed: {value: 0}, optimizer.lr: {values: [0.1, 1.0]}}"
    assert parse_sweep(WHOLE + nested, Path("s")).space == parse_sweep(WHOLE + flat, Path("s")).space


CASES = [json.loads(line) for line in (Path(__file__).parent / "wandb_cases.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_parameter_is_accepted_exactly_where_wandb_s_own_reader_accepts_it(method: str) -> None:
    """483 specs with the verdicts of `sweeps` 0.3.0: SweepConfig for a random search, grid_search_next_runs for a grid.

    Exceptions: beta distributions with a or b of 0, which W&B accepts and cannot draw from; none is among the cases.
    """
    for case in CASES:
        _, problems = read_parameters({"a": case["spec"]}, method=method)
        assert (not problems) == case[f"{method}_accepted"], (case["spec"], problems)


def test_a_grid_has_wandb_s_values_in_its_order_and_types() -> None:
    for case in (case for case in CASES if case["grid_accepted"] and "parameters" not in case["spec"]):
        space, _ = read_parameters({"a": case["spec"]}, method="grid")
        ours = [values["a"] for values in islice(grid(space), 60)]
        assert json.dumps(ours) == json.dumps(case["grid"]), case["spec"]


@pytest.mark.parametrize("text", ["2024-01-01", "!!binary aGk=", "!!set {a, b}", ".nan"])
def test_a_value_that_json_cannot_hold_is_one_line(text: str) -> None:
    with pytest.raises(SweepError, match=r"s.yaml: parameters.a: value"):
        parse_sweep(f"method: grid\nparameters: {{a: {{value: {text}}}}}", Path("s.yaml"))


def test_exponents_are_refused_with_the_distribution_that_is_meant() -> None:
    _, (problem,) = read_parameters({"a": {"distribution": "log_uniform", "min": 1, "max": 2}}, method="random")
    assert "log_uniform_values" in problem


def test_each_wrong_bound_is_named() -> None:
    _, (problem,) = read_parameters({"a": {"distribution": "uniform", "min": "x", "max": "y"}}, method="random")
    assert "min: 'x'" in problem and "max: 'y'" in problem


def commanded(*words: str) -> Sweep:
    command = json.dumps(["${env}", "trainer", "train", *words, "${args_no_hyphens}"])
    return parse_sweep(f"project: p\nmethod: grid\ncommand: {command}\nparameters: {{seed: {{value: 0}}}}", Path("s"))


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["--model=lenet5"], ["model.name=lenet5"]),
        (["--model", "lenet5", "--lr", "0.1"], ["model.name=lenet5", "optimizer.lr=0.1"]),
        (["--data=shapes10", "--epochs=2"], ["data.name=shapes10", "train.epochs=2"]),
        (["--batch-size=8", "--device=cpu"], ["train.batch_size=8", "train.device=cpu"]),
        (["--offline"], ["sink.wandb.mode=offline"]),
        (["optimizer.lr=0.2", "--lr=0.1"], ["optimizer.lr=0.1", "optimizer.lr=0.2"]),
        (["--recipe", "demo"], ["recipe=demo"]),
        (["--train.epochs=2", "train.device=cpu"], ["--train.epochs=2", "train.device=cpu"]),
    ],
)
def test_flags_of_the_command_are_overrides_of_every_point(words: list[str], overrides: list[str]) -> None:
    sweep = commanded(*words)
    assert list(sweep.fixed) == overrides
    assert sweep.warnings == ()
    check(sweep)


def test_flags_of_a_sweep_s_command_are_those_of_trainer_train() -> None:
    flags = {
        "model": options.ModelFlag,
        "epochs": options.EpochsFlag,
        "lr": options.LrFlag,
        "batch-size": options.BatchSizeFlag,
        "seed": options.SeedFlag,
        "data": options.DataFlag,
        "device": options.DeviceFlag,
    }
    assert {name: get_args(flag)[1].parser("x") for name, flag in flags.items()} == {
        name: f"{key}=x" for name, key in FLAGS.items() if name != "recipe"
    }


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--config", "a.yaml"], "command: --config: not in a sweep; write what it sets as KEY=VALUE or as parameters"),
        (["--name=x"], "command: --name=x: not in a sweep"),
        (["--seed=1"], "parameters.seed: the command sets it, too"),
        (["--modle=lenet5x"], "modle: no such key; did you mean 'model'?"),
        (["--batch-sise=8"], "command: '--batch-sise=8': `trainer train` has no such flag; did you mean 'batch-size'?"),
    ],
)
def test_a_flag_that_no_sweep_can_have_is_one_line(words: list[str], problem: str) -> None:
    with pytest.raises(SweepError) as caught:
        check(commanded(*words))
    (line,) = caught.value.problems
    assert line.startswith(f"s: {problem}")


def test_words_that_only_wandb_s_agent_uses_are_left_out_with_a_warning() -> None:
    assert [line.split(" is left")[0] for line in commanded("--runs", "r", "--json").warnings] == [
        "command: '--runs'",
        "command: 'r'",
        "command: '--json'",
    ]


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("{engine: optuna}", "scheduler: the search of engine: optuna runs under `wandb sweep-scheduler` only; leave"),
        ("{engine: ax, source: a.py}", "scheduler: the search of engine: ax runs under"),
        ("{engine: optun}", "scheduler.engine: 'optun' is not a choice; did you mean 'optuna'?"),
        ("{job: x}", "scheduler.engine: needs a value"),
    ],
)
def test_a_scheduler_of_another_engine_is_refused_with_what_to_do(scheduler: str, said: str) -> None:
    with pytest.raises(SweepError) as caught:
        parse_sweep(f"{WHOLE}scheduler: {scheduler}\nparameters: {{seed: {{value: 0}}}}", Path("s"))
    assert any(line.startswith(f"s: {said}") for line in caught.value.problems)


def test_wandb_s_own_scheduler_is_the_same_search_as_none() -> None:
    text = f"{WHOLE}parameters: {{seed: {{values: [0, 1]}}}}"
    with_one = parse_sweep(f"{text}\nscheduler: {{engine: wandb}}", Path("s"))
    assert with_one.space == parse_sweep(text, Path("s")).space


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ("seed: {values: [0, 010]}", "seed.values: 010 is 8 to YAML 1.1; write 10, or '010' if it is text"),
        ("train.epochs: {min: 1:30, max: 100}",
         "train.epochs.min: 1:30 is 90 to YAML 1.1; write 90, or '1:30' if it is text"),
        ("sink.wandb.group: {value: 1.10}", "sink.wandb.group.value: 1.10 is a number to YAML; write '1.10',"
         " or 1.1 as it was read so far"),
        ("sink: {parameters: {wandb: {parameters: {group: {values: [a, 0x10]}}}}}",
         "sink.parameters.wandb.parameters.group.values: 0x10 is a number to YAML; write '0x10', or 16 as it"
         " was read so far"),
        ("sink.wandb.tags: {value: [1.10, b]}", "sink.wandb.tags.value: 1.10 is a number to YAML; write '1.10',"
         " or 1.1 as it was read so far"),
    ],
)  # fmt: skip
def test_what_yaml_reads_in_another_way_is_refused_since_wandb_would_run_it(parameters: str, line: str) -> None:
    with pytest.raises(SweepError) as error:
        parse_sweep(f"method: random\nparameters: {{{parameters}}}", Path("s.yaml"))
    assert error.value.problems == (f"s.yaml: line 2: parameters.{line}",)


def test_a_name_that_looks_like_a_number_is_no_text_by_mistake() -> None:
    sweep = parse_sweep("method: grid\nparameters: {sink.wandb.group: {values: ['1e3', '007', 2024]}}", Path("s.yaml"))
    assert not [warning for warning in sweep.warnings if "group" in warning]


@pytest.mark.parametrize(
    ("spec", "seeds"),
    [
        ("{values: [0.0, 1.0]}", [0, 1]),
        ("{values: ['0', 1, 2.0, '1']}", [0, 1, 2]),
        ("{value: '3.0'}", [3]),
        ("{distribution: q_uniform, min: 0, max: 3}", [0, 1, 2]),
        ("{distribution: q_uniform, min: 0.0, max: 31, q: 10}", [0, 10, 20, 30]),
        ("{min: 2, max: 4}", [2, 3, 4]),
    ],
)
def test_the_seeds_of_a_grid_are_whole_numbers(spec: str, seeds: list[int]) -> None:
    sweep = parse_sweep(f"{WHOLE}parameters: {{seed: {spec}}}", Path("s"))
    found = [point.values["seed"] for point in points_of(sweep)]
    assert found == seeds and {type(seed) for seed in found} == {int}
    more = [point.values["seed"] for point in points_of(with_seeds(sweep, seeds_until(sweep.space["seed"].choices, 9)))]
    assert len(more) == len({*more}) == 9


@pytest.mark.parametrize("value", ["0.5", "true", "word", "null", "'-1'", "[0]", "'1e3'"])
def test_a_seed_that_is_no_whole_number_is_a_line(value: str) -> None:
    for spec in (f"{{values: [0, {value}]}}", f"{{value: {value}}}"):
        with pytest.raises(SweepError) as raised:
            parse_sweep(f"{WHOLE}parameters: {{seed: {spec}}}", Path("s.yaml"))
        read = yaml.safe_load(value)
        assert raised.value.problems == (
            f"s.yaml: parameters.seed: {read!r} is not a whole number; write one, such as 0",
        )
    with pytest.raises(SweepError, match=r"^s: parameters.seed: 0.5 is not a whole number"):
        parse_sweep(f"{WHOLE}parameters: {{seed: {{distribution: q_uniform, min: 0, max: 2, q: 0.5}}}}", Path("s"))


def test_nothing_grows_with_the_number_of_a_grids_seeds() -> None:
    wide = "parameters: {seed: {distribution: q_uniform, min: 0, max: 1000000000}}"
    assert [point.values["seed"] for point in points_of(parse_sweep(f"{WHOLE}run_cap: 2\n{wide}", Path("s")))] == [0, 1]


def test_a_seed_of_an_override_is_a_whole_number() -> None:
    sweep = parse_sweep(f"{WHOLE}parameters: {{optimizer.lr: {{values: [0.1, 0.2]}}}}", Path("s"))
    for word in ("seed=1.0", 'seed="1"'):
        assert {point.values["seed"] for point in points_of(with_overrides(sweep, [word]))} == {1}
        assert [type(value) for value in with_overrides(sweep, [word]).space["seed"].choices] == [int]
    with pytest.raises(SweepError, match=r"^seed: 'a' is not a whole number"):
        with_overrides(sweep, ["seed=a"])
