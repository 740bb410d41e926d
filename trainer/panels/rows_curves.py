"""Rows of what a run logs anyway: accuracy, loss and rate by epoch, what it came to, what it cost."""

from collections.abc import Sequence
from statistics import fmean, stdev

from trainer.panels.panel import Row, Rows
from trainer.panels.published_ticks import printed_accuracies
from trainer.panels.thin import thin
from trainer.runs.groups import counted, grouped
from trainer.runs.history import History

_SPLITS = {"train": "training", "val": "validation", "test": "test"}


def curves(metric: str, *, scale: float = 1) -> Rows:
    """`group, split, epoch, METRIC, low, high` of train/METRIC, val/METRIC and test/METRIC, times `scale`: the mean
    over a group's runs and their lowest and highest."""

    def rows(histories: Sequence[History]) -> list[Row]:
        found: list[Row] = []
        for label, runs in grouped(histories).items():
            for split, name in _SPLITS.items():
                key = f"{split}/{metric}"
                at: dict[float, list[float]] = {}
                for row in (row for run in runs for row in run.having(key)):
                    at.setdefault(row["epoch"], []).append(row[key] * scale)
                group = counted(label, len(runs))
                found += [
                    {"group": group, "split": name, "epoch": epoch, metric: fmean(v), "low": min(v), "high": max(v)}
                    for epoch, v in sorted(at.items())
                ]
        return thin(found, by=["group", "split"], how={metric: "mean", "low": "min", "high": "max"})

    return rows


def rates(histories: Sequence[History]) -> list[Row]:
    """`group, run, epoch, rate` of `optimizer/lr`, at the steps that were logged."""
    found = [
        {"group": label, "run": run.name, "epoch": row["epoch"], "rate": row["optimizer/lr"]}
        for label, runs in grouped(histories).items()
        for run in runs
        for row in run.having("optimizer/lr")
    ]
    return thin(found, by=["group", "run"], how={"rate": "max"})


def ablation(histories: Sequence[History]) -> list[Row]:
    """`group, order, kind, accuracy, low, high`, in percent: each run that has a headline accuracy, and over them the
    mean with mean +- sample standard deviation, the best group first. A group's label says how many of its runs that
    are. What a report printed is a tick, where a published row of the runs' sweep has the group's settings."""
    groups = grouped(histories)
    published = printed_accuracies(groups)
    values = {label: [value for run in runs if (value := _headline(run)) is not None] for label, runs in groups.items()}
    found: list[Row] = []
    ranked = sorted(groups, key=lambda label: fmean(values[label] or [-1]), reverse=True)
    for order, label in enumerate(ranked):
        ours, asked = values[label], len(groups[label])
        n = f"n={len(ours)}" if len(ours) == asked else f"n={len(ours)} of {asked}"
        place = {"group": f"{label} ({n})", "order": order}
        found += [{**place, "kind": "one seed", "accuracy": v, "low": v, "high": v} for v in ours]
        if ours:
            mean, spread = fmean(ours), stdev(ours) if len(ours) > 1 else 0.0
            found.append({**place, "kind": "mean", "accuracy": mean, "low": mean - spread, "high": mean + spread})
        if (figure := published.get(label)) is not None:
            found.append({**place, "kind": "published", "accuracy": figure, "low": figure, "high": figure})
    return found


def accuracy_time_size(histories: Sequence[History]) -> list[Row]:
    """`group, run, seconds, parameters, accuracy`: the headline accuracy in percent, training time, millions of
    parameters, of each run that has all three."""
    found: list[Row] = []
    for label, runs in grouped(histories).items():
        for run in runs:
            seconds, parameters = (run.summary.get(key) for key in ("time/train_seconds", "model/parameters"))
            if (accuracy := _headline(run)) is None or not seconds or parameters is None:
                continue
            row = {"seconds": seconds, "parameters": parameters / 1e6, "accuracy": accuracy}
            found.append({"group": counted(label, len(runs)), "run": run.name, **row})
    return found


def confusion(histories: Sequence[History]) -> list[Row]:
    """`actual, predicted, images, rate` and the places of both classes: test images by true class, then by predicted,
    summed over the runs with the classes of the first; the rate is in percent of the true class."""
    classes = next((run.classes for run in histories if run.confusion), [])
    alike = [run.confusion for run in histories if run.confusion and run.classes == classes]
    found: list[Row] = []
    for i, name in enumerate(classes):
        line = [sum(counts[i][j] for counts in alike) for j in range(len(classes))]
        total = sum(line) or 1
        found += [
            {"actual": name, "predicted": classes[j], "actual_order": i, "predicted_order": j, "images": images,
             "rate": 100 * images / total}
            for j, images in enumerate(line)
        ]  # fmt: skip
    return found


def _headline(run: History) -> float | None:
    value = run.summary.get("headline/accuracy")
    return None if value is None else 100 * value
