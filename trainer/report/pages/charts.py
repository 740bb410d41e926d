"""The page's charts: panels of `trainer.panels`, filled from a table's configurations under the page's labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from trainer.panels.panel import Histories, Row
from trainer.panels.registry import panel
from trainer.panels.render import as_svg
from trainer.panels.rows_curves import ablation
from trainer.report.configurations import Configuration
from trainer.report.table import Table

MOST_CURVES = 8
"""Configurations that can be distinguished in a chart of curves."""


@dataclass(frozen=True)
class Chart:
    name: str  # of the panel, and of the picture
    title: str
    about: str  # what is drawn, and what is not
    alt: str  # what is seen, for a reader who cannot see it
    spec: dict[str, Any]

    def _repr_svg_(self) -> str:
        """Return what a notebook shows."""
        return as_svg(self.spec)


def charts_of(table: Table) -> list[Chart]:
    """Return the charts that have something to draw."""
    ranked = _ranked(table)
    charts = [_ablation(table, ranked), _curves(ranked), _cost(ranked)]
    return [chart for chart in charts if chart is not None]


def _ranked(table: Table) -> list[Configuration]:
    """Return the configurations that have runs, the best first. Those without a number of the metric are last."""
    means = {each.label: fmean(sample.values()) for each in table.configurations if (sample := each.sample())}
    measured = [each for each in table.configurations if each.label in means]
    others = [each for each in table.configurations if each.runs and each.label not in means]
    return [*sorted(measured, key=lambda each: means[each.label], reverse=table.highest), *others]


def _groups(configurations: Sequence[Configuration]) -> Histories:
    return {each.label: [run.history for run in each.runs] for each in configurations}


def _ablation(table: Table, ranked: Sequence[Configuration]) -> Chart | None:
    """Draw test accuracies, even if the table's metric is another one.

    Published figures are drawn only beside runs of the published settings. Any other would be no comparison.
    """
    published = {
        each.answer.configuration.label: each.figure.value
        for each in table.comparisons
        if each.headline and each.answer.configuration and not each.answer.differences and each.figure.unit == "%"
    }
    groups = _groups([each for each in ranked if each.sample("test_acc")])
    rows = ablation(groups, published=published)
    if not rows:
        return None
    about = panel("ablation").about if published else "Each seed, and the mean ± one standard deviation."
    about += _epoch_of(ranked)
    means = [(row["accuracy"], row["group"].rpartition(" (n=")[0]) for row in rows if row["kind"] == "mean"]
    (best, first), (worst, last) = means[0], means[-1]
    alt = f"Means from {best:.2f} of {first} to {worst:.2f} of {last}; the table has all figures."
    return chart_of("ablation", rows, about, alt)


def _curves(ranked: Sequence[Configuration]) -> Chart | None:
    first = ranked[:MOST_CURVES]
    tested = max((len(run.history.having("test/accuracy")) for each in first for run in each.runs), default=0)
    crowded = len(first) > 3 and tested > 2
    shown = panel("learning_curves")
    rows = [row for row in shown.rows(_groups(first)) if not crowded or row["split"] == "test"]
    if not rows:
        return None
    about = f"{shown.about}{_best_of(ranked)}{' Test set only.' if crowded else ''}"
    alt = f"Accuracy over {max(row['epoch'] for row in rows):g} epochs, a line per configuration."
    return chart_of("learning_curves", rows, about, alt)


def _cost(ranked: Sequence[Configuration]) -> Chart | None:
    """Draw the same test accuracies as the chart of the ablation."""
    shown = panel("accuracy_time_size")
    rows = shown.rows(_groups(ranked[:MOST_CURVES]))
    if not rows:
        return None
    low, high = min(row["seconds"] for row in rows), max(row["seconds"] for row in rows)
    alt = f"A point per run: training took from {low:.0f} to {high:.0f} seconds; the table has time and size."
    return chart_of("accuracy_time_size", rows, f"{shown.about}{_best_of(ranked)}{_epoch_of(ranked)}", alt)


def _best_of(ranked: Sequence[Configuration]) -> str:
    """Return which configurations a chart draws, if it does not draw all."""
    return f" The {MOST_CURVES} best of {len(ranked)} configurations." if len(ranked) > MOST_CURVES else ""


def _epoch_of(configurations: Sequence[Configuration]) -> str:
    """Return which epoch is drawn, if the `protocol` of a run picks another for its headline."""
    protocols = {run.config.get("protocol", "last") for each in configurations for run in each.runs}
    return "" if protocols <= {"last"} else " Of the last epoch, not of the one that protocol picks."


def chart_of(name: str, rows: list[Row], about: str, alt: str) -> Chart:
    """Return the chart that a panel makes of rows."""
    shown = panel(name)
    return Chart(name, shown.title, about, alt, shown.chart(rows, subtitle=about))
