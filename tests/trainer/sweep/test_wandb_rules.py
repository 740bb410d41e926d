"""The trainer's sweeps beside W&B's own package: brackets, stops, grids, quantiles, imputed values, whole files.

The answers are in wandb_answers.jsonl, which ask_wandb.py writes.
"""

import json
import math
import random
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from trainer.config.overrides import flatten
from trainer.errors import SweepError
from trainer.sweep.file import Metric, parse_sweep
from trainer.sweep.hyperband import Hyperband, is_hopeless
from trainer.sweep.search import _told
from trainer.sweep.space import draw, grid, quantile, read_parameters

LINES = [json.loads(line) for line in (Path(__file__).parent / "wandb_answers.jsonl").read_text("utf-8").splitlines()]
LEVELS = [0.001, 0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 0.999]


def answers(kind: str) -> list[dict[str, Any]]:
    return [line for line in LINES if line["kind"] == kind]


def test_hyperband_s_brackets_are_those_of_wandb() -> None:
    for case in answers("brackets"):
        try:
            ours = [b for b in Hyperband.model_validate(case["early_terminate"]).brackets if b <= 1000]
        except ValueError:
            ours = None
        assert ours == case["brackets"], case


def test_hyperband_stops_the_runs_that_wandb_stops() -> None:
    for case in answers("stops"):
        early, maximize = Hyperband.model_validate(case["early_terminate"]), case["goal"] == "maximize"
        histories = case["histories"]
        stopped = [i for i, h in enumerate(histories) if is_hopeless(h, histories, early, maximize=maximize)]
        assert stopped == case["stopped"], case


def test_a_grid_has_wandb_s_points_in_its_order() -> None:
    """150 grids, up to 24 points of each: bounds and steps, nested keys beside dotted ones, repeated values."""
    for case in answers("grid"):
        space, problems = read_parameters(case["parameters"], method="grid")
        if any("given twice" in problem for problem in problems):
            continue  # the exception: one key, nested and dotted, is two keys to W&B and one to the trainer
        assert not problems, (case, problems)
        ours = [json.dumps(flatten(point), sort_keys=True) for point in islice(grid(space), 24)]
        theirs = [json.dumps(flatten(point), sort_keys=True) for point in case["points"]]
        assert ours == theirs, case


@pytest.mark.parametrize("case", answers("quantiles"), ids=lambda case: json.dumps(case["spec"]))
def test_a_distribution_has_wandb_s_quantiles_and_so_have_its_draws(case: dict[str, Any]) -> None:
    space, problems = read_parameters({"a": case["spec"]}, method="random")
    assert not problems
    ours = [quantile(space["a"], level) for level in LEVELS]
    assert ours == (case["values"] if isinstance(ours[0], str) else pytest.approx(case["values"], rel=1e-9, abs=1e-12))
    rng = random.Random(0)
    drawn = sorted(draw(space["a"], rng) for _ in range(4000))
    slack = 1.95 / math.sqrt(len(drawn))  # Kolmogorov's: further off in one of 1,000 samples
    for level, value in zip(LEVELS, case["values"], strict=True):
        below = sum(each < value and not _near(each, value) for each in drawn) / len(drawn)
        upto = sum(each <= value or _near(each, value) for each in drawn) / len(drawn)
        assert below - slack <= level <= upto + slack


def _near(one: Any, other: Any) -> bool:
    return isinstance(one, float) and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def test_a_bayes_search_is_told_what_wandb_s_is_told() -> None:
    for case in answers("imputed"):
        assert sorted(told(case["metric"], case["runs"])) == pytest.approx(sorted(case["told"])), case


def test_a_run_without_a_value_is_told_as_the_worst_and_not_as_wandb_s_zero() -> None:
    metric = {"name": "l", "goal": "minimize", "impute": "latest"}
    assert told(metric, [("finished", [0.5]), ("crashed", [])]) == [0.5, 0.5]
    assert told(metric, [("crashed", [])]) == []


def told(metric: dict[str, Any], runs: list[tuple[str, list[float]]]) -> list[float]:
    states = {"finished": optuna.trial.TrialState.COMPLETE, "running": optuna.trial.TrialState.RUNNING}
    trials = [
        optuna.trial.create_trial(
            state=states.get(state, optuna.trial.TrialState.FAIL),
            value=values[-1] if state == "finished" else None,
            params={"a": 0.5},
            distributions={"a": optuna.distributions.FloatDistribution(0, 1)},
            user_attrs={"run": str(i), "point": {"a": 0.5}}
            | ({"outcome": {"state": state}} if state != "running" else {}),
            intermediate_values=dict(enumerate(values, 1)),
        )
        for i, (state, values) in enumerate(runs)
    ]
    found = _told(trials, Metric.model_validate(metric))
    return [
        trial.value for trial in found if trial.state != optuna.trial.TrialState.RUNNING and trial.value is not None
    ]


EXCEPTIONS: list[tuple[str, str]] = [  # what W&B accepts and we refuse
    ("parameters.a-b", "no key of the trainer has a hyphen"),
    ("parameters.a.:", "no key of the trainer is empty"),
]
"""Others, which no case asks: a key given twice (W&B takes the last one), beta with a or b of 0 (W&B draws nothing),
`scheduler` of Optuna or Ax with `metrics` and `method: custom` (they run under `wandb sweep-scheduler` only), a list in
`command`, a value that JSON does not have, a distribution that exceeds every number."""


def test_a_whole_file_is_accepted_exactly_where_wandb_accepts_it_or_a_reason_is_listed() -> None:
    wrong: list[Any] = []
    for case in answers("file"):
        file = {"method": case["method"], "metric": {"name": "l"}, "parameters": {"a": {"values": [1, 2]}}}
        if case["method"] != "grid":
            file["run_cap"] = 5
        text = yaml.safe_dump({**file, case["key"]: case["value"]})
        try:
            parse_sweep(text, Path("s.yaml"))
            refused = ""
        except SweepError as error:
            refused = error.problems[0]
        if (not refused) != case["accepted"] and not any(refused.startswith(f"s.yaml: {e}") for e, _ in EXCEPTIONS):
            wrong.append((case, refused))
    assert not wrong, "\n".join(map(str, wrong))
