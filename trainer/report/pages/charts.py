"""The page's charts: the panels of `trainer.panels`, filled from a table, so that labels are the page's own."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from trainer.panels.registry import panel
from trainer.panels.thin import thin
from trainer.report.configurations import Configuration
from trainer.report.tables import Table

MOST_CURVES = 8
"""Configurations that a chart of curves can tell apart."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    name: str  # of the panel: pictures are called by it
    title: str
    about: str  # what is drawn, and what is not
    alt: str  # what is seen, for who does not see it
    spec: dict[str, Any]


def charts_of(table: Table) -> list[Chart]:
    """Those that have something to draw."""
    best_first = _ranked(table)
    found = [_ablation(table, best_first), _curves(best_first), _cost(best_first)]
    return [chart for chart in found if chart is not None]


def _ranked(table: Table) -> list[Configuration]:
    samples = {point.label: list(point.sample().values()) for point in table.configurations}
    sign = -1 if table.highest else 1
    filled = [point for point in table.configurations if samples[point.label]]
    return sorted(filled, key=lambda point: sign * fmean(samples[point.label]))


def _ablation(table: Table, ranked: list[Configuration]) -> Chart | None:
    """Test accuracies, whatever the table goes by. Published figures only beside runs of the published settings: others
    would be no comparison."""
    ranked = [point for point in ranked if point.sample("test_acc")]
    if not ranked:
        return None
    published = {
        each.answer.configuration.label: each.figure.value
        for each in table.comparisons
        if each.headline and each.answer.configuration and not each.answer.differences and each.figure.unit == "%"
    }
    rows: list[Row] = []
    for order, point in enumerate(ranked):
        values = list(point.sample("test_acc").values())
        mean, std = fmean(values), stdev(values) if len(values) > 1 else 0.0
        place = {"group": f"{point.label} (n={len(values)})", "order": order}
        rows += [{**place, "kind": "one seed", "accuracy": v, "low": v, "high": v} for v in values]
        rows.append({**place, "kind": "mean", "accuracy": mean, "low": mean - std, "high": mean + std})
        if (figure := published.get(point.label)) is not None:
            rows.append({**place, "kind": "published", "accuracy": figure, "low": figure, "high": figure})
    shown = panel("ablation")
    about = shown.about if published else "Each run, and their mean with one sample standard deviation either way."
    best, last = (fmean(point.sample("test_acc").values()) for point in (ranked[0], ranked[-1]))
    alt = f"Means from {best:.2f} of {ranked[0].label} to {last:.2f} of {ranked[-1].label}; the table has all figures."
    return Chart(shown.name, shown.title, about, alt, shown.chart(rows, subtitle=about))


def _curves(ranked: list[Configuration]) -> Chart | None:
    rows: list[Row] = []
    shown_points = ranked[:MOST_CURVES]
    tested = max((len(run.history.having("test/accuracy")) for point in shown_points for run in point.runs), default=0)
    crowded = len(shown_points) > 3 and tested > 2
    splits = {"train": "training", "val": "validation", "test": "test"}
    for point in shown_points:
        for split, name in splits.items() if not crowded else [("test", "test")]:
            at: dict[float, list[float]] = {}
            for run in point.runs:
                for row in run.history.having(f"{split}/accuracy"):
                    at.setdefault(row["epoch"], []).append(100 * row[f"{split}/accuracy"])
            group = f"{point.label} (n={len(point.runs)})"
            rows += [
                {"group": group, "split": name, "epoch": epoch, "accuracy": fmean(v), "low": min(v), "high": max(v)}
                for epoch, v in sorted(at.items())
            ]
    if not rows:
        return None
    shown = panel("learning_curves")
    rest = f" The {MOST_CURVES} best of {len(ranked)} configurations." if len(ranked) > MOST_CURVES else ""
    about = f"{shown.about}{rest}{' Of the test set alone.' if crowded else ''}"
    small = thin(rows, by=["group", "split"], how={"accuracy": "mean", "low": "min", "high": "max"})
    alt = f"Accuracy over {max(row['epoch'] for row in rows):g} epochs, a line a configuration."
    return Chart(shown.name, shown.title, about, alt, shown.chart(small, subtitle=about))


def _cost(ranked: list[Configuration]) -> Chart | None:
    rows = [
        {"group": point.label, "run": run.name, "seconds": run.values["seconds_total"],
         "parameters": run.values["params"] / 1e6, "accuracy": run.values["headline"]}
        for point in ranked[:MOST_CURVES]
        for run in point.runs
        if run.values.get("seconds_total") and "params" in run.values and "headline" in run.values
    ]  # fmt: skip
    if not rows:
        return None
    shown = panel("accuracy_time_size")
    low, high = min(row["seconds"] for row in rows), max(row["seconds"] for row in rows)
    alt = f"A point a run: training took from {low:.0f} to {high:.0f} seconds; the table has time and size."
    return Chart(shown.name, shown.title, shown.about, alt, shown.chart(rows))
