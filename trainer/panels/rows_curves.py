"""Rows of what every run logs: accuracy, loss and learning rate by epoch, final accuracy, cost, confusions."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from trainer.config.overrides import flatten, read_overrides
from trainer.panels.panel import Histories, Row, Rows, counting
from trainer.panels.thin import thin
from trainer.published import PublishedRow, runs_of
from trainer.published import rows as published_rows
from trainer.runs.chance import that_learned
from trainer.runs.groups import counted, telling_keys
from trainer.runs.history import History, is_finite
from trainer.statistics.describe import describe

_TEST = "test/accuracy"
"""Key of a chart's test accuracy: of the last epoch, whichever epoch a run's `protocol` picks."""
_SPLITS = {"train": "training", "val": "validation", "test": "test"}


def curves(metric: str, *, scale: float = 1) -> Rows:
    """Make rows `group, split, epoch, METRIC, low, high` of train/METRIC, val/METRIC and test/METRIC, times `scale`.

    METRIC is the mean over a group's runs, low and high are its lowest and highest run.
    """

    def rows(groups: Histories) -> list[Row]:
        table: list[Row] = []
        for label, runs in counting(groups).items():
            for split, name in _SPLITS.items():
                key = f"{split}/{metric}"
                at: dict[float, list[float]] = {}
                for row in (row for run in runs for row in run.having(key)):
                    at.setdefault(row["epoch"], []).append(row[key] * scale)
                group = counted(label, len(runs))
                table += [
                    {"group": group, "split": name, "epoch": epoch, metric: fmean(v), "low": min(v), "high": max(v)}
                    for epoch, v in sorted(at.items())
                ]
        return thin(table, by=["group", "split"], how={metric: "mean", "low": "min", "high": "max"})

    return rows


def rates(groups: Histories) -> list[Row]:
    """Return `group, run, epoch, rate` of `optimizer/lr`, at the steps that were logged."""
    table = [
        {"group": label, "run": run.name, "epoch": row["epoch"], "rate": row["optimizer/lr"]}
        for label, runs in groups.items()
        for run in runs
        for row in run.having("optimizer/lr")
    ]
    return thin(table, by=["group", "run"], how={"rate": "max"})


def ablation(groups: Histories, *, published: Mapping[str, float] | None = None) -> list[Row]:
    """Return `group, order, kind, accuracy, low, high` in percent, the best group first.

    A group has a row for each run whose summary has a test accuracy, and one for their mean ± sample standard
    deviation, without those at chance. Its label has the number of runs in the mean. It has a tick if it is in
    `published`, by default the figures of the published rows with its settings.
    """
    groups = counting(groups)
    published = printed_accuracies(groups) if published is None else published
    learned = {id(run) for run in that_learned([run for runs in groups.values() for run in runs])}
    every = {label: [run for run in runs if is_finite(run.summary.get(_TEST))] for label, runs in groups.items()}
    samples = {label: [100 * run.summary[_TEST] for run in runs if id(run) in learned] for label, runs in every.items()}
    table: list[Row] = []
    ranked = sorted(groups, key=lambda label: fmean(samples[label] or [-1]), reverse=True)
    for order, label in enumerate(ranked):
        values, asked = samples[label], len(groups[label])
        n = f"n={len(values)}" if len(values) == asked else f"n={len(values)} of {asked}"
        place = {"group": f"{label} ({n})", "order": order}
        dots = [100 * run.summary[_TEST] for run in every[label]]
        table += [{**place, "kind": "one seed", "accuracy": v, "low": v, "high": v} for v in dots]
        if sample := describe(values):
            mean, std = sample.mean, sample.std or 0.0
            table.append({**place, "kind": "mean", "accuracy": mean, "low": mean - std, "high": mean + std})
        if (figure := published.get(label)) is not None:
            table.append({**place, "kind": "published", "accuracy": figure, "low": figure, "high": figure})
    return table


def accuracy_time_size(groups: Histories) -> list[Row]:
    """Return `group, run, seconds, parameters, accuracy` of each run that has all three.

    They are training time, parameters in millions, and test accuracy in percent.
    """
    keys = ("time/train_seconds", "model/parameters", _TEST)
    return [
        {"group": counted(label, len(runs)), "run": run.name, "seconds": seconds, "parameters": parameters / 1e6,
         "accuracy": 100 * accuracy}
        for label, runs in counting(groups).items()
        for run in runs
        for seconds, parameters, accuracy in [[run.summary.get(key) for key in keys]]
        if seconds and is_finite(parameters) and is_finite(accuracy)
    ]  # fmt: skip


def confusion(groups: Histories) -> list[Row]:
    """Return the confusion rows of all runs together that have the classes of the first."""
    runs: list[History] = [run for runs in counting(groups).values() for run in runs if run.confusion]
    if not runs:
        return []
    classes = runs[0].classes
    alike = [run.confusion for run in runs if run.classes == classes]
    places = range(len(classes))
    return confusion_rows(classes, [[sum(counts[i][j] for counts in alike) for j in places] for i in places])


def confusion_rows(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> list[Row]:
    """Return `actual, predicted, images, rate` and the places of both classes.

    `counts` [K, K] are test images by true class, then by predicted. The rate is in percent of the true class.
    """
    return [
        {"actual": actual, "predicted": predicted, "actual_order": i, "predicted_order": j, "images": counts[i][j],
         "rate": 100 * counts[i][j] / (sum(counts[i]) or 1)}
        for i, actual in enumerate(classes)
        for j, predicted in enumerate(classes)
    ]  # fmt: skip


def printed_accuracies(groups: Histories) -> dict[str, float]:
    """Return by group the test accuracy in percent of the published row with its settings, if there is one.

    Only the rows that the runs' sweep answers are searched. A row fits a group if it has all keys that distinguish the
    groups, and if the runs have all settings of the row. Any other figure would be no comparison.
    """
    keys = telling_keys([run.config for runs in groups.values() for run in runs])
    accuracies: dict[str, float] = {}
    for label, (first, *_) in groups.items():
        sweep = first.folder.resolve().parent.name
        printed = [row for row in published_rows() if row.sweep == sweep and "test_acc" in row.printed]
        fitting = (row.printed["test_acc"] for row in printed if _fits(row, first, keys))
        if (figure := next(fitting, None)) is not None:
            accuracies[label] = figure
    return accuracies


def _fits(row: PublishedRow, run: History, keys: Sequence[str]) -> bool:
    settings = [flatten(read_overrides(overrides)) for overrides in runs_of(row)]
    return any(asked.keys() >= set(keys) and asked.items() <= run.config.items() for asked in settings)
