"""The result of `trainer compare`, as one JSON object and as text."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.inspect.differences import config_differences, headlines, mcnemar, told_apart, welch_between_groups
from trainer.inspect.network import load_network
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.runs.groups import grouped, value_text
from trainer.runs.history import read_history
from trainer.text import NONE, table


def compare(folders: Sequence[Path], changes: dict[str, object]) -> dict[str, Any]:
    """Return differences of config and results, and tests of the difference. Raises CheckpointError.

    `changes` are config keys to load networks with, such as `data.root`.
    """
    histories = [read_history(folder) for folder in folders]
    return {
        "runs": [str(folder) for folder in folders],
        "config": config_differences(histories),
        "results": headlines(histories),
        "mcnemar": _compare_predictions(folders, changes) if len(folders) == 2 else None,
        "welch": welch_between_groups(histories),
    }


def draw_curves(folders: Sequence[Path], out: Path) -> list[Path]:
    """Draw accuracy and loss by epoch as PNG, if the runs have logged them. Raises DiskError."""
    groups = grouped([read_history(folder) for folder in folders])
    written: list[Path] = []
    for name in ("learning_curves", "loss_curves"):
        if rows := panel(name).rows(groups):
            written.append(out / f"{name}.png")
            render(panel(name).chart(rows), written[-1])
    return written


def _compare_predictions(folders: Sequence[Path], changes: dict[str, object]) -> dict[str, Any]:
    """Return McNemar's test if both networks can be loaded and have the same test set, otherwise why not."""
    try:
        first, second = (load_network(folder, changes) for folder in folders)
    except UserError as error:
        return {"untested": f"needs both networks' predictions: {error.problems[0]}"}
    ours, theirs = first.image_set.test, second.image_set.test
    if ours.images.shape != theirs.images.shape or not bool((ours.images == theirs.images).all()):
        return {"untested": "the two have different test images"}
    if first.classes != second.classes or not bool((ours.labels == theirs.labels).all()):
        return {"untested": "the two have different classes of the same test images"}
    return asdict(mcnemar(first.predictions.right, second.predictions.right)) | {"images": len(ours)}


def as_text(comparison: dict[str, Any]) -> str:
    """Return tables for a terminal. The last lines say how certain a difference is."""
    names = told_apart([Path(run) for run in comparison["runs"]])
    config, results = comparison["config"], comparison["results"]
    parts = [
        _table("config", names, config, lambda _, value: value_text(value)) if config else "config: no difference",
        _table("results", names, results, _result) if results else "results: none of the runs has ended",
    ]
    if comparison["mcnemar"]:
        parts.append(_mcnemar_line(comparison["mcnemar"], names))
    if comparison["welch"]:
        parts.append("\n".join(_welch_lines(comparison["welch"])))
    elif len(names) > 2:
        parts.append("no test: it needs two configurations with at least two finished runs each, of different seeds")
    return "\n\n".join(parts)


def _mcnemar_line(test: dict[str, Any], names: Sequence[str]) -> str:
    if why := test.get("untested"):
        return f"McNemar's test: not possible, {why}"
    return (
        f"McNemar's exact test on {test['images']:,} test images: {names[0]} alone is right on"
        f" {test['only_first']:,}, {names[1]} alone on {test['only_second']:,}; p = {test['p']:.3g}\n"
        "It compares these two networks, not their configurations: another seed gives another network."
    )


def _welch_lines(test: dict[str, Any]) -> list[str]:
    lines = [f"Welch's t-test of {test['metric']} between configurations, p after Holm's correction:"]
    sizes = {label: len(sample) for label, sample in test["groups"].items()}
    for pair in test["pairs"]:
        difference = pair["difference"]
        tested = "no test, because neither varies"
        if difference["low"] is not None:
            tested = f"95 % [{difference['low']:+.2%}, {difference['high']:+.2%}], p = {pair['p_holm']:.3g}"
        lines.append(
            f"  {pair['a']} (n={sizes[pair['a']]}) - {pair['b']} (n={sizes[pair['b']]}):"
            f" {difference['mean']:+.2%}, {tested}, {pair['split']}"
        )
    lines += [f"not counted: {repeat}" for repeat in test["repeats"]]
    return lines + [f"not counted: {name} is at chance" for name in test["at_chance"]]


def _table(title: str, names: Sequence[str], rows: dict[str, list[Any]], shown: Callable[[str, Any], str]) -> str:
    return table([[title, *names], *([key, *(shown(key, value) for value in rows[key])] for key in rows)])


def _result(key: str, value: Any) -> str:
    """Return a result with its unit."""
    match value:
        case None:
            return NONE
        case float() if key.endswith("accuracy"):
            return f"{value:.2%}"
        case float() if key.startswith("time/"):
            return f"{value:,.1f} s"
        case float():
            return f"{value:.6g}"
        case int() if key == "model/parameters":
            return f"{value:,}"
        case _:
            return str(value)
