"""Points of a sweep: which, in which order, in which words; and the distributions of a random search."""

import json
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config.overrides import read_overrides, read_value, write_override
from trainer.errors import SweepError
from trainer.sweep.file import Sweep, parse_sweep, with_overrides
from trainer.sweep.points import Point, points_of, sample
from trainer.sweep.space import grid


def sweep_of(parameters: str, **keys: Any) -> Sweep:
    lines = [f"{key}: {value}" for key, value in {"method": "grid", **keys}.items()]
    return parse_sweep("\n".join([*lines, f"parameters: {parameters}"]), Path("sweeps/s.yaml"))


def test_a_grid_is_in_the_order_of_wandb_sorted_keys_the_last_one_fastest() -> None:
    sweep = sweep_of("{seed: {values: [1, 0]}, model.act: {values: [relu, gelu]}, b: {value: null}}")
    assert [point.values for point in points_of(sweep)] == [
        {"b": None, "model.act": "relu", "seed": 1},
        {"b": None, "model.act": "relu", "seed": 0},
        {"b": None, "model.act": "gelu", "seed": 1},
        {"b": None, "model.act": "gelu", "seed": 0},
    ]


def test_whole_numbers_and_steps_have_a_grid_without_the_end_of_the_steps() -> None:
    sweep = sweep_of("{a: {min: 1, max: 3}, b: {distribution: q_uniform, min: 0.0, max: 0.3, q: 0.1}}")
    values = [point.values for point in points_of(sweep)]
    assert [v["a"] for v in values[::3]] == [1, 2, 3]
    assert [v["b"] for v in values[:3]] == pytest.approx([0, 0.1, 0.2])


def test_nested_and_dotted_keys_are_sorted_level_by_level() -> None:
    sweep = sweep_of("{a.b: {values: [1, 2]}, a: {parameters: {z: {values: [1, 2]}}}}")
    assert [list(point.values.values()) for point in points_of(sweep)] == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert list(points_of(sweep)[1].values) == ["a.z", "a.b"]


def test_a_cap_ends_a_grid() -> None:
    assert [p.values["a"] for p in points_of(sweep_of("{a: {min: 1, max: 9}}", run_cap=2))] == [1, 2]


def test_nothing_grows_with_the_width_of_a_range() -> None:
    wide = "{seed: {min: 0, max: 4294967295}}"
    assert len(points_of(sweep_of(wide, method="random", run_cap=3))) == 3
    assert len(points_of(sweep_of(wide, run_cap=3))) == 3
    with pytest.raises(SweepError, match="a grid of 4,294,967,296 points; add run_cap"):
        points_of(sweep_of(wide))


def test_a_search_ends_when_its_space_is_exhausted() -> None:
    sweep = sweep_of("{a: {min: 1, max: 4}, b: {values: [1, 2, 3, 4, 5, 6]}}", method="random", run_cap=10000)
    assert len(points_of(sweep)) == 24


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_exactly_the_value_is_read_back_from_its_word(value: Any) -> None:
    (read,) = read_overrides([write_override("key", value)]).values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("value", "word"),
    [("cosine", "k=cosine"), (0.1, "k=0.1"), ([3, 3], "k=[3, 3]"), (None, "k=null"), ("1", 'k="1"'), (True, "k=true")],
)
def test_a_word_is_as_short_as_a_person_writes_it(value: Any, word: str) -> None:
    assert write_override("k", value) == word


@given(st.dictionaries(st.sampled_from("abc"), values, min_size=1))
def test_a_point_is_the_same_after_json_has_made_whole_numbers_of_floats(point: dict[str, Any]) -> None:
    def through_json(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return [through_json(item) for item in value] if isinstance(value, list) else value

    assert Point(point).key == Point({key: through_json(value) for key, value in point.items()}).key


def test_a_point_is_the_same_however_its_seed_is_written() -> None:
    assert len({Point({"a": 1, "seed": seed}).key for seed in (0, 0.0, "0", "0.0")} | {Point({"a": 1}).key}) == 1
    assert len({Point({"a": 1, "seed": seed}).key for seed in (0, 1, "a", True, None, 0.5)}) == 6
    assert Point({"a": "0", "seed": 0}).key != Point({"a": 0, "seed": 0}).key
    assert Point({"seed": 3, "a": 1.0}).key == '{"a": 1, "seed": 3}'


def test_names_of_a_point_hold_what_varies() -> None:
    sweep = sweep_of("{seed: {values: [0, 1]}, model.stem: {values: [[3, 3], [7]]}, model.name: {value: simp_res9}}")
    assert sweep.varied == ["model.stem", "seed"]
    point = points_of(sweep)[1]
    assert point.label(sweep.varied) == "stem=[3,3], seed=1"
    assert point.slug(sweep.varied) == "3-3-s1"
    assert read_value(point.overrides[1].partition("=")[2]) == [3, 3]


@pytest.mark.parametrize(
    ("rate", "slug", "label"),
    [(1e30, "1e30", "lr=1e+30"), (1e-30, "1e-30", "lr=1e-30"), (-0.5, "minus0.5", "lr=-0.5")],
)
def test_the_name_of_a_folder_keeps_a_numbers_signs(rate: float, slug: str, label: str) -> None:
    point = Point({"optimizer.lr": rate})
    assert (point.slug(["optimizer.lr"]), point.label(["optimizer.lr"])) == (slug, label)


def test_words_set_what_is_the_same_at_every_point() -> None:
    sweep = with_overrides(
        sweep_of("{seed: {values: [0, 1]}, train.epochs: {value: 25}}"), ["train.epochs=1", "a.b=[1, 2]"]
    )
    assert [point.overrides for point in points_of(sweep)] == [
        [f"seed={seed}", "train.epochs=1", "a.b=[1, 2]"] for seed in (0, 1)
    ]


def test_a_name_that_looks_like_a_number_reaches_every_point_as_it_was_typed() -> None:
    sweep = with_overrides(sweep_of("{seed: {values: [0]}}"), ["sink.wandb.group=12e4567", "data.root=2024"])
    (point,) = points_of(sweep)
    assert set(point.overrides) == {"data.root=2024", "seed=0", "sink.wandb.group=12e4567"}
    assert Point(json.loads(json.dumps(point.values))).overrides == point.overrides, "a ledger remembers it"


def test_a_random_search_draws_different_points_and_all_there_are_of_a_small_space() -> None:
    sweep = sweep_of("{a: {values: [1, 2, 3]}, b: {values: [x, z]}}", method="random", run_cap=20)
    assert sorted(point.key for point in points_of(sweep)) == sorted(Point(v).key for v in grid(sweep.space))


@pytest.mark.parametrize(
    ("spec", "mean", "spread"),
    [
        ("{min: 0.0, max: 2.0}", 1, 2 / math.sqrt(12)),
        ("{distribution: normal, mu: 3, sigma: 2}", 3, 2),
        ("{distribution: normal}", 0, 1),
        ("{distribution: q_normal, mu: 3, sigma: 2, q: 0.5}", 3, 2),
        ("{distribution: beta, a: 2, b: 2}", 0.5, math.sqrt(1 / 20)),
        ("{min: 1, max: 3}", 2, math.sqrt(2 / 3)),
        ("{values: [0, 1], probabilities: [0.2, 0.8]}", 0.8, 0.4),
    ],
)
def test_draws_have_the_mean_and_spread_of_their_distribution(spec: str, mean: float, spread: float) -> None:
    sweep = sweep_of(f"{{a: {spec}, b: {{min: 0.0, max: 1.0}}}}", method="random")
    draws = [point.values["a"] for point in sample(sweep, 4000)]
    assert statistics.fmean(draws) == pytest.approx(mean, abs=5 * spread / math.sqrt(4000))
    assert statistics.stdev(draws) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize(
    ("spec", "of"),
    [
        ("{distribution: log_uniform_values, min: 0.001, max: 1.0}", lambda x: math.log10(x) / 3 + 1),
        ("{distribution: inv_log_uniform_values, min: 0.001, max: 1.0}", lambda x: math.log10(x) / 3 + 1),
    ],
)
def test_logarithms_are_drawn_uniformly(spec: str, of: Any) -> None:
    draws = [of(point.values["a"]) for point in sample(sweep_of(f"{{a: {spec}}}", method="random"), 2000)]
    assert 0 <= min(draws) < 0.02
    assert 0.98 < max(draws) <= 1
    assert statistics.fmean(draws) == pytest.approx(0.5, abs=0.035)


@pytest.mark.parametrize("head", ["", "# Seeds: 2\n"])
def test_an_override_changes_no_draw(head: str) -> None:
    text = f"{head}method: random\nrun_cap: 9\nmetric: {{name: val/accuracy, goal: maximize}}\nparameters: "
    plain = parse_sweep(text + "{a: {min: 0.0, max: 1.0}, b: {value: 1}, z: {values: [2, 3, 4]}}", Path("s.yaml"))
    before = [point.values for point in sample(replace(plain, space=plain.searched), 9)]
    for more in ({"train.log_every": 3}, {"a.b": 1, "b": 2, "zz": 5}):
        sweep = with_overrides(plain, [write_override(key, value) for key, value in more.items()])
        assert [point.values for point in sample(replace(sweep, space=sweep.searched), 9)] == [
            {**values, **more} for values in before
        ]


def test_the_points_of_a_search_are_those_of_earlier_versions() -> None:
    sweep = sweep_of("{a: {min: 0.0, max: 1.0}, b: {value: 1}}", method="random", run_cap=3)
    assert [round(point.values["a"], 4) for point in points_of(sweep)] == [0.477, 0.7599, 0.1203]


def test_steps_are_multiples_of_q() -> None:
    sweep = sweep_of("{a: {distribution: q_log_uniform_values, min: 1, max: 64, q: 8}}", method="random")
    assert {point.values["a"] % 8 for point in sample(sweep, 5)} == {0}
