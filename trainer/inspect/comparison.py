"""What `trainer compare` finds of runs, as one JSON object, and as text."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.inspect.differences import config_differences, headlines, mcnemar, welch_between_groups
from trainer.inspect.subject import load_subject
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.runs.history import read_history


def compare(folders: Sequence[Path], changes: dict[str, object]) -> dict[str, Any]:
    """Differences of config and results, and tests of the difference. `changes` are config keys to load networks with,
    such as `data.root`. Raises CheckpointError for what is no run folder."""
    histories = [read_history(folder) for folder in folders]
    return {
        "runs": [str(folder) for folder in folders],
        "config": config_differences(histories),
        "results": headlines(histories),
        "mcnemar": _predictions_compared(folders, changes) if len(folders) == 2 else None,
        "welch": welch_between_groups(histories),
    }


def draw_curves(folders: Sequence[Path], out: Path) -> list[Path]:
    """Accuracy and loss by epoch as PNG, where the runs have logged them. Raises DiskError."""
    histories = [read_history(folder) for folder in folders]
    written: list[Path] = []
    for name in ("learning_curves", "loss_curves"):
        if rows := panel(name).rows(histories):
            written.append(out / f"{name}.png")
            render(panel(name).chart(rows), written[-1])
    return written


def _predictions_compared(folders: Sequence[Path], changes: dict[str, object]) -> dict[str, Any]:
    """McNemar's test where both networks can be loaded and have the same test set; else why not."""
    try:
        first, second = (load_subject(folder, changes) for folder in folders)
    except UserError as error:
        return {"untested": f"needs both networks' predictions: {error.problems[0]}"}
    ours, theirs = first.image_set.test, second.image_set.test
    if ours.images.shape != theirs.images.shape or not bool((ours.images == theirs.images).all()):
        return {"untested": "the two have different test images"}
    return asdict(mcnemar(first.found.right, second.found.right)) | {"images": len(ours)}


def as_text(found: dict[str, Any]) -> str:
    """Tables for a terminal; the last lines say how sure a difference is."""
    names = [Path(run).resolve().name for run in found["runs"]]
    config = {key: [_typed(value) for value in values] for key, values in found["config"].items()}
    results = {key: [_shown(key, value) for value in values] for key, values in found["results"].items()}
    parts = [
        _table("config", names, config) if config else "config: no difference",
        _table("results", names, results) if results else "results: none of the runs has ended",
    ]
    if found["mcnemar"]:
        parts.append(_mcnemar_line(found["mcnemar"], names))
    if found["welch"]:
        parts += ["\n".join(_welch_lines(found["welch"]))]
    elif len(names) > 2:
        parts.append("no test: it takes two groups of at least two finished runs each that differ in their seed alone")
    return "\n\n".join(parts)


def _mcnemar_line(found: dict[str, Any], names: Sequence[str]) -> str:
    if why := found.get("untested"):
        return f"McNemar's test: not made, {why}"
    return (
        f"McNemar's exact test on {found['images']:,} test images: {names[0]} alone right on {found['only_first']:,},"
        f" {names[1]} alone on {found['only_second']:,}; p = {found['p']:.3g}\n"
        "It weighs these two networks on such images, not their settings: another seed is another network."
    )


def _welch_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"Welch's t-test of {found['metric']} between groups of seeds, p after Holm:"]
    sizes = {label: len(sample) for label, sample in found["groups"].items()}
    for pair in found["pairs"]:
        difference = pair["difference"]
        interval = f"[{difference['low']:+.2%}, {difference['high']:+.2%}]"
        lines.append(
            f"  {pair['a']} (n={sizes[pair['a']]}) - {pair['b']} (n={sizes[pair['b']]}):"
            f" {difference['mean']:+.2%}, 95 % {interval}, p = {pair['p_holm']:.3g}, {pair['split']}"
        )
    return lines


def _table(title: str, names: Sequence[str], rows: dict[str, list[str]]) -> str:
    cells = [[title, *names], *([key, *values] for key, values in rows.items())]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names) + 1)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def _typed(value: Any) -> str:
    """A config value as it is typed."""
    return value if isinstance(value, str) else json.dumps(value)


def _shown(key: str, value: Any) -> str:
    """A result with its unit."""
    match value:
        case None:
            return "-"
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
