"""First section of a page that is served: progress, what runs where, curves as they grow, what failed and why."""

from collections.abc import Iterator
from dataclasses import replace

from trainer.panels.registry import panel
from trainer.report.live.now import FAILED, Progress, Running, Seen, counts_of
from trainer.report.pages.charts import MOST_CURVES, Chart, chart_of
from trainer.report.pages.grids import Grid
from trainer.report.pages.sections import Bar, Block, Section
from trainer.report.table import Table
from trainer.sweep.status import DONE, in_unit
from trainer.text import NONE, duration_text, metric_words, number

TITLE = "Progress"
_MOST_SEEDS = 12  # columns that can be read
_VERBS = {"done": "are done", "failed": "failed", "running": "running", "interrupted": "interrupted",
          "waiting": "waiting"}  # fmt: skip


def section_of(table: Table, progress: Progress) -> Section:
    """Return the section. Grids without rows are left out."""
    blocks: list[Block] = [" ".join(_sentences(progress)), Bar(tuple(counts_of(progress)))]
    blocks += [grid for grid in (_running(progress), _failures(progress)) if grid.rows]
    blocks += [chart for chart in (_curves(progress),) if chart]
    blocks += [grid for grid in (_points(table, progress),) if grid.rows]
    return TITLE, blocks


def _sentences(progress: Progress) -> Iterator[str]:
    (_, done), *others = counts_of(progress)
    rest = [f"{count} {_VERBS[state]}" for state, count in others if count]
    yield f"{done} of {progress.total} points are done{''.join(f', {part}' for part in rest)}."
    if progress.seconds_left is not None:
        yield f"About {duration_text(progress.seconds_left)} left, at the pace so far."
    elif progress.running:
        yield "The time left is known once a first epoch has ended."
    elif progress.waiting:
        yield "Nothing is running. The command that began the sweep continues it."
    else:
        yield "Nothing is left to run."


def _running(progress: Progress) -> Grid:
    header = ("run", "configuration", "seed", "epoch", "latest test accuracy (%)", "where", "began", "last row")
    rows = tuple(
        (
            each.seen.run,
            each.seen.label,
            NONE if each.seen.seed is None else str(each.seen.seed),
            _epoch_of(each),
            _latest(each),
            each.where,
            each.began,
            each.last,
        )
        for each in progress.running
    )
    return Grid("What runs now. Times are those of the machine that serves this page", header, rows, (0, 1, 5))


def _epoch_of(running: Running) -> str:
    return f"{round(running.epoch, 1):g} of {running.epochs:g}" if running.epochs else "starting"


def _latest(running: Running) -> str:
    rows = running.run.history.having("test/accuracy") if running.run else []
    return number(100 * rows[-1]["test/accuracy"] if rows else None)


def _curves(progress: Progress) -> Chart | None:
    """Return the accuracies of the runs that are running, a line a run, or None before one has two epochs."""
    first = [each for each in progress.running if each.run][:MOST_CURVES]
    groups = {_name(each.seen): [each.run.history] for each in first if each.run}
    rows = panel("learning_curves").rows(groups)
    if len({row["epoch"] for row in rows}) < 2:
        return None
    if len(first) > 3 and any(row["split"] == "test" for row in rows):
        rows = [row for row in rows if row["split"] == "test"]
    rows = [{**row, "group": row["group"].removesuffix(" (n=1)")} for row in rows]  # each line is one run
    rest = f" The first {MOST_CURVES} of {len(progress.running)}." if len(progress.running) > MOST_CURVES else ""
    said = ", ".join(f"{_name(each.seen)} at {_latest(each)}%" for each in first)
    chart = chart_of("learning_curves", rows, f"A line a run, as it grows.{rest}", f"Test accuracy: {said}.")
    return replace(chart, name="running", title="Runs that are running")


def _name(seen: Seen) -> str:
    return seen.label if seen.seed is None else f"{seen.label}, seed {seen.seed}"


def _failures(progress: Progress) -> Grid:
    rows = tuple(
        (_name(point), point.state, point.why or "its folder says no more", point.run or NONE)
        for point in progress.points
        if point.state in FAILED
    )
    return Grid("What failed, and why", ("point", "state", "reason", "run"), rows, (0, 1, 2, 3))


def _points(table: Table, progress: Progress) -> Grid:
    """Return a row for each configuration and a column for each seed, or nothing if that would be too wide."""
    seeds = sorted({point.seed for point in progress.points if point.seed is not None})
    if not seeds or len(seeds) > _MOST_SEEDS or any(point.seed is None for point in progress.points):
        return Grid("", (), ())
    found: dict[str, dict[int | None, str]] = {}
    epochs = {each.seen: _epoch_of(each) for each in progress.running}
    for point in progress.points:
        cells = found.setdefault(point.label, {})
        said = _said(point, table.metric)
        if point in epochs:
            said = epochs[point] if epochs[point] == "starting" else f"epoch {epochs[point]}"
        cells[point.seed] = said
    rows = tuple((name, *(cells.get(seed, NONE) for seed in seeds)) for name, cells in found.items())
    unit = " (%)" if "accuracy" in table.metric else ""
    caption = f"Every point: {metric_words(table.metric)}{unit}, or how far it is"
    return Grid(caption, ("configuration", *(f"seed {seed}" for seed in seeds)), rows, (0,))


def _said(point: Seen, metric: str) -> str:
    if point.state in DONE and point.value is not None:
        (value,), digits, _ = in_unit([point.value], metric)
        return number(value, digits=digits) + ", stopped" * (point.state == "stopped")
    return "waiting" if point.state == "missing" else point.state
