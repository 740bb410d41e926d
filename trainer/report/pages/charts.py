"""The page's charts: panels of `trainer.panels`, filled from a table's configurations under the page's labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from trainer.panels.panel import Histories, Row
from trainer.panels.registry import panel
from trainer.panels.render import as_svg
from trainer.panels.rows_curves import ablation
from trainer.panels.rows_probes import in_stretches
from trainer.report.configurations import Configuration, siblings_of
from trainer.report.folders import Run
from trainer.report.published.comparisons import of_the_last_epoch
from trainer.report.table import Table
from trainer.runs.bands import rate_of, rows_of
from trainer.runs.groups import counted
from trainer.runs.history import History
from trainer.runs.outcomes import WALK_KEYS, Outcome
from trainer.text import number

MOST_CURVES = 8
"""Configurations that can be distinguished in a chart of curves."""
_BANDS = {"runs/loss": "loss_band", "runs/grad_distance": "gradient_distance_band", "runs/beta": "run_beta_band"}
_WALKS = ("loss_variation", "gradient_predictiveness", "beta")


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
    ranked = [each for each in table.ranked_configurations if each.runs]
    charts = [*landscape_charts(table), _ablation(table, ranked), _curves(ranked), _cost(ranked)]
    return [chart for chart in charts if chart is not None]


def landscape_charts(table: Table) -> list[Chart]:
    """Return the charts of a table that asks what probes measured: bands over the learning rates, and walks."""
    if table.asked is None or (asked := table.asked.outcome).of_summary or asked.over_lengths:
        return []
    keys = sorted(_BANDS, key=lambda key: key != asked.key)  # what is asked comes first
    charts = [*(_band(table, key) for key in keys), *_walks(table)]
    return [chart for chart in charts if chart is not None]


def _band(table: Table, key: str) -> Chart | None:
    bands = {each.label: found for each in siblings_of(table.configurations) if (found := each.bands(key))}
    rows = [{**row, "group": counted(label, len(found))} for label, found in bands.items() for row in rows_of(found)]
    if not rows:
        return None
    unit = f" {width.unit}" if (width := Outcome(f"{key}/width")).unit else ""
    means = {label: fmean(band.mean_width for band in found) for label, found in bands.items()}
    said = ", ".join(f"{number(mean, digits=None, unit=unit)} of {label}" for label, mean in means.items())
    alt = f"Mean widths: {said}; the table has all figures."
    return chart_of(_BANDS[key], in_stretches(rows), panel(_BANDS[key]).about, alt)


def _walks(table: Table) -> list[Chart]:
    """Draw the walks along gradients: at one learning rate of several, the middle one of those that all have."""
    walked = [each for each in table.configurations if any(run.traces.keys() & {*WALK_KEYS} for run in each.runs)]
    by_network: dict[str, set[float]] = {}
    for each in walked:
        if (rate := rate_of(each.runs[0].config)) is not None:
            by_network.setdefault(each.siblings.label if each.siblings else each.label, set()).add(rate)
    anywhere = set[float]().union(*by_network.values())
    if len(anywhere) > 1:
        rates = sorted(set[float].intersection(*by_network.values()) or anywhere)
        walked = [each for each in walked if rate_of(each.runs[0].config) == rates[len(rates) // 2]]
    groups = {each.label: [*map(_walk_of, each.runs)] for each in walked[:MOST_CURVES]}
    charts: list[Chart] = []
    for shown in map(panel, _WALKS):
        if rows := shown.rows(groups):
            last = max(row["step"] for row in rows)
            alt = f"A band per configuration, over {last} steps; the table has the medians."
            charts.append(chart_of(shown.name, rows, shown.about, alt))
    return charts


def _walk_of(run: Run) -> History:
    """Return a run's history with the rows of its walks in place of those of its epochs."""
    rows: dict[int, Row] = {}
    for key in WALK_KEYS:
        if trace := run.traces.get(key):
            for step, value in zip(trace.steps.tolist(), trace.values.tolist(), strict=True):
                rows.setdefault(step, {"step": step})[key] = value
    return replace(run.history, rows=[rows[step] for step in sorted(rows)])


def _groups(configurations: Sequence[Configuration]) -> Histories:
    return {each.label: [run.history for run in each.runs] for each in configurations}


def _ablation(table: Table, ranked: Sequence[Configuration]) -> Chart | None:
    """Draw test accuracies, even if the table's metric is another one.

    Published figures are drawn only beside runs of the published settings, and if they are of the last epoch as the
    means are. Any other would be no comparison.
    """
    published = {
        each.answer.configuration.label: each.figure.value
        for each in table.comparisons
        if each.headline and each.answer.configuration and not each.answer.differences
        if of_the_last_epoch(each.answer, each.figure)
    }
    groups = _groups([each for each in ranked if each.sample("test_acc")])
    rows = ablation(groups, published=published)
    if not rows:
        return None
    about = panel("ablation").about if published else "Each seed, and the mean ± one standard deviation."
    about += _epoch_of(ranked)
    means = [(row["accuracy"], row["group"].rpartition(" (n=")[0]) for row in rows if row["kind"] == "mean"]
    (best, first), (worst, last) = means[0], means[-1]
    to = f" to {worst:.2f} of {last}" if len(means) > 1 else ""
    alt = f"{'Means from' if to else 'A mean of'} {best:.2f} of {first}{to}; the table has all figures."
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
