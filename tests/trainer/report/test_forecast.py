"""What a sweep will cost and tell: which test, which noise, how long."""

from pathlib import Path
from statistics import stdev

import pytest
import yaml

from trainer.errors import SweepError
from trainer.report.forecast import Comparison, Forecast, Noise, Power, as_measured, chart_of, comparison_of, noise_of
from trainer.report.tables import read_table
from trainer.runs.outcomes import Outcome
from trainer.statistics.seedwise import smallest_found
from trainer.sweep.cost import Cost, duration
from trainer.sweep.file import Sweep, parse_sweep, read_sweep
from trainer.sweep.points import points_of

LOSSES = {"loss.name": {"values": ["cross_entropy", "mse", "focal"]}, "seed": {"values": [0, 1]}}
ACCURACY = Outcome("test/accuracy")


def sweep(head: str = "", parameters: dict[str, object] = LOSSES, **more: object) -> Sweep:
    content = {"method": "grid", "project": "p", "parameters": parameters, **more}
    return parse_sweep(head + yaml.safe_dump(content), Path("s.yaml"))


def asked(head: str = "", parameters: dict[str, object] = LOSSES) -> Comparison | None:
    found = sweep(head, parameters)
    return comparison_of(found, points_of(found))


def test_the_test_is_that_of_the_page() -> None:
    assert asked() == Comparison(ACCURACY, "best", 2, "", ratio=False, asked=False)
    assert asked("# Which?\n# Control: mse\n") == Comparison(ACCURACY, "control", 2, "mse", ratio=False, asked=False)
    loss = Outcome("test/loss")
    assert asked("# Which?\n# Outcome: test/loss, lower\n") == Comparison(loss, "best", 2, "", ratio=True, asked=True)
    head = "# Which?\n# Control: mse\n# Outcome: test/loss, lower\n"
    assert asked(head) == Comparison(loss, "control", 2, "mse", ratio=True, asked=True)


@pytest.mark.parametrize(("outcome", "test"), [("", "control"), ("# Outcome: runs/loss/mean, lower\n", "pairs")])
def test_a_control_that_is_one_choice_is_planned_by_its_families(outcome: str, test: str) -> None:
    """Before: it was no configuration, so the test was that of the best of all six."""
    parameters = {"model.name": {"values": ["lenet5", "vgg_a"]}, **LOSSES}
    found = asked(f"# Which?\n# Control: mse\n{outcome}", parameters)
    assert found is not None and (found.test, found.others, found.control) == (test, 2, "mse")
    assert "if one differs from mse with the same model by" in forecast(Power(found, None)).as_text()
    handmade = read_sweep(Path(__file__).parents[3] / "sweeps" / "handmade.yaml")
    own = comparison_of(handmade, points_of(handmade))
    assert own is not None and (own.test, own.others) == ("control", 5)


def test_networks_at_several_rates_are_one_each_where_the_outcome_is_a_band() -> None:
    parameters = {"model.name": {"values": ["vgg_a", "vgg_a_bn"]}, "optimizer.lr": {"values": [0.1, 0.01, 0.001]}}
    found = asked("# Which?\n# Control: vgg_a\n# Outcome: runs/loss/width, lower\n", parameters)
    assert found == Comparison(Outcome("runs/loss/width"), "pairs", 1, "vgg_a", ratio=True, asked=True)


def test_a_search_compares_nothing_and_one_configuration_is_planned_as_one_of_two() -> None:
    search = sweep(parameters={"optimizer.lr": {"min": 0.1, "max": 0.2}}, method="random", run_cap=3)
    assert comparison_of(search, points_of(search)) is None
    alone = asked(parameters={"seed": {"values": [0, 1]}})
    assert alone is not None
    assert alone.others == 1


def test_runs_begin_in_the_slot_that_is_free_first() -> None:
    slow_fast = {"cpu": 10.0, "cuda:0": 1.0}
    assert duration([slow_fast] * 11, ["cpu", "cuda:0"]) == 10
    assert duration([{"auto": 3.0}, {"auto": 2.0}, {"auto": 2.0}], ["auto", "auto"]) == 4
    assert duration([], ["auto"]) == 0


def forecast(power: Power | None) -> Forecast:
    costs = tuple(Cost(name, 2, 25, {"auto": 60.0}) for name in ("cross_entropy", "mse", "focal"))
    return Forecast(sweep(), costs, 6, ("auto",), power)


def test_the_table_has_seeds_runs_time_and_the_smallest_difference() -> None:
    found = forecast(Power(Comparison(ACCURACY, "best", 2, "", False, False), Noise(0.3, 0.2, 0.5, "pilot"), 0.5))
    text = found.as_text()
    assert "6 runs with 150 epochs take about 6 min on this machine, one at a time" in text
    assert "standard deviation of a seed 0.30 points, 95% interval 0.20 to 0.50 (pilot)" in text
    assert "if the best one leads the 2 others by" in text
    rows = found.as_json()["seeds"]
    assert [(row["seeds"], row["runs"], row["seconds"]) for row in rows][:2] == [(2, 6, 360), (3, 9, 540)]
    assert rows[0]["smallest_difference"] is None and rows[1]["smallest_difference"] == pytest.approx(
        0.3 * 3.93, rel=0.01
    )
    needed = found.as_json()["wanted"]["seeds"]
    assert f"A difference of 0.50 points takes {needed} seeds of each configuration: {3 * needed} runs" in text


def test_without_noise_differences_are_in_standard_deviations() -> None:
    text = forecast(Power(Comparison(ACCURACY, "control", 2, "mse", False, False), None)).as_text()
    assert "noise: not known, so differences are in standard deviations of a seed" in text
    assert "if one differs from mse by" in text


def test_a_ratio_is_shown_and_read_as_one() -> None:
    band = Comparison(Outcome("runs/loss/width"), "pairs", 1, "vgg_a", ratio=True, asked=True)
    assert band.shown(0.0953) == "1.1 times"
    assert band.shown(800.0) == "more than a number holds"
    assert band.read(1.1) == pytest.approx(0.0953, abs=1e-4) == band.read(1 / 1.1)
    with pytest.raises(SweepError, match=r"--difference: 1: expected a ratio that is not 1, such as 1\.2"):
        band.read(1.0)
    power = Power(band, Noise(0.2, 0.1, 0.3, "given"))
    assert power.smallest(5) == smallest_found(0.2, 5)


@pytest.mark.parametrize("head", ["", "# Control: vgg_a\n"], ids=["the best", "a control"])
def test_a_pilot_with_a_value_of_0_is_told_in_differences(write_landscape, head: str) -> None:
    """Before: `standard deviation of a pair's difference 0.05 in logarithms`, and `1.02 times`."""
    pilot = read_table(write_landscape({"vgg_a": [1.5, 1.6, 1.55], "vgg_a_bn": [0.0, 0.1, 0.02]}, sweep="bn_lipschitz"))
    parameters = {"model.name": {"values": ["vgg_a", "vgg_a_bn"]}, "seed": {"values": [0, 1, 2]}}
    planned = asked(f"# Which?\n{head}# Outcome: probe/beta/median, lower\n", parameters)
    assert planned is not None and planned.ratio
    comparison, noise = as_measured(planned, pilot), noise_of(planned, pilot, "pilot")
    assert noise is not None and not comparison.ratio
    moves = [5 * (a - b) for a, b in zip([1.5, 1.6, 1.55], [0.0, 0.1, 0.02], strict=True)]
    assert noise.std == pytest.approx(stdev(moves))
    text = forecast(Power(comparison, noise, comparison.read(1.0))).as_text()
    assert "logarithm" not in text and " times" not in text and "A difference of 1 takes" in text
    assert "(pilot: 4 degrees of freedom, by differences, since not all values have a ratio)" in text
    positive = read_table(write_landscape(sweep="bn_gradient_cosine"))
    assert as_measured(planned, positive) == planned


def test_a_chart_has_one_unit(tmp_path: Path) -> None:
    points = Power(Comparison(ACCURACY, "best", 2, "", False, False), Noise(0.3, 0.2, 0.5, "pilot"), 0.5)
    chart = chart_of({"a": points})
    rows = chart["data"]["values"]
    assert [row["seeds"] for row in rows] == list(range(3, 21))
    assert {row["wanted"] for row in rows} == {0.5}
    assert all(row["low"] < row["difference"] < row["high"] for row in rows)
    ratio = Power(Comparison(Outcome("test/loss"), "pairs", 1, "", True, True), Noise(0.3, 0.2, 0.5, "pilot"))
    with pytest.raises(SweepError, match="differences in logarithms of ratios and in points; draw one at a time"):
        chart_of({"a": points, "b": ratio})
    with pytest.raises(SweepError, match="nothing to draw"):
        chart_of({})
