"""Bands and spans of rates of several networks are compared at the rates and steps that all of them have."""

import json
from collections.abc import Iterable
from dataclasses import replace
from math import log10, nan
from pathlib import Path

import numpy as np
import pytest

from trainer.config.overrides import flatten
from trainer.report.folders import Run
from trainer.report.pages.outcome import outcome
from trainer.report.siblings import Siblings, Together
from trainer.report.tables import read_table
from trainer.runs.history import History
from trainer.runs.outcomes import Trace
from trainer.runs.results import Result

STEPS = 10


def run(rate: float, values: Iterable[float], seed: int = 0, status: str = "finished") -> Run:
    losses = np.array([*values])
    config = flatten({"seed": seed, "optimizer": {"lr": rate}})
    history = History(Path(f"{rate:g}-s{seed}"), config, [], {"status": status}, [])
    trace = Trace(np.arange(len(losses)), losses)
    return Run(Result(history, {}, {}, (), {"runs/loss": trace}), {}, {})


def flat(rate: float, steps: int = STEPS, seed: int = 0) -> Run:
    """A run whose loss is its rate at every step."""
    return run(rate, [rate] * steps, seed)


def together(**groups: list[Run]) -> Together:
    table = Together([])
    table.groups += [
        Siblings(
            name,
            tuple(each for each in runs if each.status != "diverged"),
            tuple(each for each in runs if each.status == "diverged"),
            together=table,
        )
        for name, runs in groups.items()
    ]
    return table


def samples(table: Together, name: str = "runs/loss/width") -> dict[str, dict[int, float]]:
    return {each.label: dict(each.sample(name)) for each in table.groups}


def test_a_run_that_ends_early_shortens_the_bands_of_all_networks() -> None:
    """Before: the mean loss of 200 steps was called significantly lower than that of the first 40 of another."""
    falling = [run(rate, rate + np.arange(STEPS)[::-1]) for rate in (0.1, 0.2)]
    table = together(a=falling, b=[run(rate, [*each.traces["runs/loss"].values[:4]]) for rate, each in
                                   zip((0.1, 0.2), falling, strict=True)])  # fmt: skip
    assert samples(table, "runs/loss/level")["a"] == pytest.approx(samples(table, "runs/loss/level")["b"])
    assert samples(table, "runs/loss/level@late")["a"] == pytest.approx(samples(table, "runs/loss/level@late")["b"])
    assert list(table.in_common("runs/loss").left_out) == ["all steps after 3"]


def test_a_rate_that_a_network_has_no_run_at_is_left_out() -> None:
    table = together(a=[flat(rate) for rate in (0.1, 0.2, 0.9)], b=[flat(rate) for rate in (0.1, 0.2)])
    assert samples(table) == {"a": {0: pytest.approx(0.1)}, "b": {0: pytest.approx(0.1)}}
    assert list(table.in_common("runs/loss").left_out) == ["rate 0.9"]
    assert samples(table, "rates/decades") == {name: {0: pytest.approx(log10(2))} for name in "ab"}


def test_a_rate_that_a_seed_lacks_is_left_out_of_that_seed() -> None:
    rates = (0.1, 0.2, 0.9)
    a = [flat(rate, seed=seed) for seed in (0, 1) for rate in rates]
    table = together(a=a, b=[each for each in a if (each.seed, each.config["optimizer.lr"]) != (1, 0.9)])
    assert samples(table)["a"] == samples(table)["b"] == {0: pytest.approx(0.8), 1: pytest.approx(0.1)}
    assert list(table.in_common("runs/loss").left_out) == ["seed 1 at rate 0.9"]


def test_a_span_of_rates_needs_a_run_at_each() -> None:
    """Before: 0.1 and 10 were two decades although no run at 1 was there."""
    rates = (0.1, 1, 10)
    table = together(a=[flat(rate, seed=seed) for seed in (0, 1) for rate in rates if (rate, seed) != (1, 1)])
    assert samples(table, "rates/decades") == {"a": {0: pytest.approx(2)}}


def test_from_where_a_run_diverged_its_rate_is_left_out_of_every_network() -> None:
    a = [flat(rate) for rate in (0.1, 0.2, 0.9)]
    b = [flat(0.1), flat(0.2), run(0.9, [0.9] * 5 + [nan], status="diverged")]
    table = together(a=a, b=b)
    assert samples(table) == {name: {0: pytest.approx((5 * 0.8 + 5 * 0.1) / 10)} for name in "ab"}
    assert list(table.in_common("runs/loss").left_out) == ["seed 0 at rate 0.9 after step 4"]


def test_who_has_one_rate_hinders_nobody() -> None:
    """Before: one stray run, or the first of another network, emptied the answer of all others."""
    whole = {name: [flat(rate, seed=seed) for seed in (0, 1) for rate in (0.1, 0.2)] for name in "ab"}
    table = together(**whole, stray=[flat(0.9)])
    assert samples(table) == {**{name: {0: pytest.approx(0.1), 1: pytest.approx(0.1)} for name in "ab"}, "stray": {}}
    assert table.in_common("runs/loss").left_out == ("stray, which has one rate",)
    assert samples(table, "rates/decades")["a"].keys() == {0, 1}
    begun = together(**whole, c=[flat(0.1), flat(0.2), flat(0.1, seed=1)])
    assert samples(begun)["a"] == {0: pytest.approx(0.1), 1: pytest.approx(0.1)}
    assert samples(begun)["c"] == {0: pytest.approx(0.1)}
    assert begun.in_common("runs/loss").left_out == ("seed 1 of c",)
    alike = together(**whole, stray=[flat(0.1)])
    assert alike.in_common("rates/decades").left_out == ("stray, which has one rate",)


def test_runs_without_the_key_hinder_nobody() -> None:
    unmeasured = [replace(each, result=replace(each.result, traces={})) for each in (flat(0.5), flat(0.6))]
    table = together(a=[flat(0.1), flat(0.2)], b=[flat(0.1), flat(0.2)], c=unmeasured)
    assert samples(table)["a"] == samples(table)["b"] == {0: pytest.approx(0.1)}


def test_steps_that_not_all_measured_are_named() -> None:
    a = [flat(rate, 11) for rate in (0.1, 0.2)]
    b = [replace(each, result=replace(each.result, traces={"runs/loss": every_second(each)})) for each in a]
    table = together(a=a, b=b)
    assert [*table.in_common("runs/loss").bands["a"][0].steps] == [0, 2, 4, 6, 8, 10]
    assert table.in_common("runs/loss").left_out == ("steps of seed 0 that not all have measured",)


def every_second(of: Run) -> Trace:
    trace = of.traces["runs/loss"]
    return Trace(trace.steps[::2], trace.values[::2])


def test_a_run_that_diverged_at_once_leaves_its_rate_out() -> None:
    b = [flat(0.1), flat(0.2), run(0.9, [nan], status="diverged")]
    table = together(a=[flat(rate) for rate in (0.1, 0.2, 0.9)], b=b)
    assert samples(table) == {name: {0: pytest.approx(0.1)} for name in "ab"}
    assert table.in_common("runs/loss").left_out == ("seed 0 at rate 0.9",)


def test_what_spans_of_rates_leave_out_is_named() -> None:
    rates = (0.1, 0.2, 0.4)
    a = [flat(rate, seed=seed) for seed in (0, 1) for rate in (*rates, 0.9)]
    b = [flat(rate, seed=seed) for seed in (0, 1) for rate in rates if (rate, seed) != (0.2, 1)]
    assert together(a=a, b=b).in_common("rates/decades").left_out == (
        "rate 0.9",
        "seed 1 of b, without a run at 0.2",
    )


def test_networks_with_everything_in_common_lose_nothing() -> None:
    table = together(a=[flat(0.1), flat(0.2)], b=[flat(0.1), flat(0.2)])
    assert list(table.in_common("runs/loss").left_out) == []
    assert len(table.groups[0].bands("runs/loss")[0].steps) == STEPS


def test_the_page_names_what_is_not_compared(write_landscape) -> None:
    """All bands are cut to the shortest run of a network, as the reports do."""
    folder = write_landscape()
    for path in folder.glob("vgg_a_bn-0.05-s2/metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["step"] < 60))
    assert "Compared is what all have, so without all steps after 50" in outcome(read_table(folder)).caption
