"""Runs with chosen figures, and claims over tables of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.published import Experiment, PublishedRow
from trainer.report.configurations import Configuration
from trainer.report.folders import Run
from trainer.report.published.claims import claims_of
from trainer.report.published.comparisons import Answer
from trainer.runs.history import History
from trainer.runs.results import Result

STEADY = [-0.1, 0.0, 0.1]


def a_run(seed: int, values: Mapping[str, float], at: Mapping[int, float]) -> Run:
    rows = [{"epoch": float(epoch), "step": epoch, "test/accuracy": value / 100} for epoch, value in at.items()]
    return Run(Result(History(Path(f"s{seed}"), {"seed": seed}, rows, {"status": "finished"}, []), {}, {}), {}, values)


def a_point(
    label: str, values: Mapping[str, Sequence[float]], at: Mapping[int, Sequence[float]] | None = None
) -> Configuration:
    """`values`: by measure, a value a seed."""
    count = max([len(each) for each in [*values.values(), *(at or {}).values()]], default=0)
    runs = [
        a_run(
            seed,
            {name: each[seed] for name, each in values.items()},
            {epoch: each[seed] for epoch, each in (at or {}).items()},
        )
        for seed in range(count)
    ]
    return Configuration(label, {}, {}, tuple(runs))


def row_of(id: str, name: str) -> PublishedRow:
    return PublishedRow(id, "test", {"row": name}, {})


def answers_for(points: Mapping[str, Configuration], check: Mapping[str, Any], *differences: str) -> list[Answer]:
    """Return the rows of a table with this claim, whose rows are identified by `row`."""
    experiment = Experiment(
        "test-t1", "test", "nowhere", "A table", {}, (), ({"text": "a claim", "check": [check]},), ()
    )
    return [
        Answer(
            experiment,
            row_of("test-t1", name),
            name,
            point,
            tuple(points.values()),
            differences,
            (),
        )
        for name, point in points.items()
    ]


def outcome(check: Mapping[str, Any], points: Mapping[str, Configuration], *differences: str) -> tuple[str, str]:
    """Return (outcome, reason) of a claim over a table whose rows are identified by `row`."""
    (claim,) = claims_of(answers_for(points, check, *differences))
    return claim.outcome, claim.why


def around(mean: float, spread: Sequence[float] = STEADY) -> list[float]:
    return [mean + each for each in spread]


def accuracies(**means: float) -> dict[str, Configuration]:
    return {name: a_point(name, {"test_acc": around(mean)}) for name, mean in means.items()}


A, B = {"row": "a"}, {"row": "b"}
