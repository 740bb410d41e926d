"""Rows of what the probes measure: along the gradient (`probe/*`) and from step to step (`runs/*`)."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from trainer.panels.panel import Row, Rows
from trainer.panels.thin import LIMIT, over, thin
from trainer.runs.bands import loss_bands
from trainer.runs.groups import counted, grouped
from trainer.runs.history import History

_EXTREMES = {"low": "min", "mean": "mean", "high": "max"}
_STRETCHES = 100  # points of a line that is averaged over steps
PAPER, REPORTS = "along the gradient", "from step to step"
"""The two families of measurements, as panels call them."""


def run_band(key: str) -> Rows:
    """`group, seed, step, low, mean, high` of a metric over runs that differ in their rate alone, the reports' way.

    Of many steps, all three are averaged over stretches, a hundredth of the run each: a step's value is its batch's,
    and a stretch's extremes would draw that noise as width. So the band keeps its area and mean width. What there is to
    say of runs that are missing or diverged, `trainer landscape bands` says.
    """

    def rows(histories: Sequence[History]) -> list[Row]:
        measured = [history for history in histories if history.having(key)]
        found = loss_bands(measured, key) if measured else []
        lines = len({(row["group"], row["seed"]) for row in found})
        return thin(
            found, by=["group", "seed"], how=dict.fromkeys(_EXTREMES, "mean"), limit=min(LIMIT, _STRETCHES * lines)
        )

    return rows


def along_the_gradient(low: str, high: str, mean: str | None = None) -> Rows:
    """`group, step, low, high` and, where `mean` is given, `mean` of three metrics of the same row.

    Each is the mean over a group's runs, so that a band is as wide as that of a run, however far its runs lie apart.
    """
    keys = {"low": low, "high": high, **({"mean": mean} if mean else {})}
    how = dict.fromkeys(keys, "mean")

    def rows(histories: Sequence[History]) -> list[Row]:
        return _band(histories, keys, how, limit=LIMIT // len(keys))

    return rows


def mean_with_extremes(key: str) -> Rows:
    """`group, step, low, mean, high` of one metric: the lowest, the mean and the highest over a group's runs."""

    def rows(histories: Sequence[History]) -> list[Row]:
        return _band(histories, dict.fromkeys(_EXTREMES, key), _EXTREMES, limit=LIMIT)

    return rows


def cosines(histories: Sequence[History]) -> list[Row]:
    """`group, measure, step, low, high` of the cosines of gradients, means over a group's runs: the paper's, from the
    least to the greatest along the gradient; and the reports', of successive steps, which are so many and so unlike
    that `low` and `high` are both the mean over a stretch of steps, a hundredth of them all."""
    limit = LIMIT // 4  # two halves, each a table of two columns that a preset stacks
    paper = {"low": "probe/grad_cosine_min", "high": "probe/grad_cosine_max"}
    reports = {"low": "runs/grad_cosine", "high": "runs/grad_cosine"}
    how = dict.fromkeys(paper, "mean")
    found = [{**row, "measure": PAPER} for row in _band(histories, paper, how, limit=limit)]
    successive = _band(histories, reports, how, limit=None)
    lines = len({row["group"] for row in successive})
    smooth = thin(successive, by=["group"], how=how, limit=min(limit, _STRETCHES * lines))
    return [*found, *({**row, "measure": REPORTS} for row in smooth)]


def shifts(metric: str) -> Rows:
    """`group, layer, order, step, shift` of `probe/METRIC/LAYER`, the mean over a group's runs; layers in the network's
    order. What is 0 is left out where the metric is a distance: the first layer's by definition."""
    prefix = f"probe/{metric}/"

    def rows(histories: Sequence[History]) -> list[Row]:
        found: list[Row] = []
        for label, runs in grouped(histories).items():
            layers = dict.fromkeys(key for run in runs for row in run.rows for key in row if key.startswith(prefix))
            for order, key in enumerate(layers):
                at: dict[int, list[float]] = {}
                for row in (row for run in runs for row in run.having(key)):
                    at.setdefault(row["step"], []).append(row[key])
                place = {"group": counted(label, len(runs)), "layer": key.removeprefix(prefix), "order": order}
                shift = {step: fmean(values) for step, values in sorted(at.items())}
                if any(shift.values()):
                    found += [{**place, "step": step, "shift": value} for step, value in shift.items()]
        return thin(found, by=["group", "layer"], how={"shift": "mean"})

    return rows


def _band(
    histories: Sequence[History], keys: Mapping[str, str], how: Mapping[str, str], *, limit: int | None
) -> list[Row]:
    """Columns over those of a group's runs that have all of `keys` at a step, as `how` says; of more rows than `limit`,
    means over stretches of steps, since a stretch's extremes would be the noise of its batches."""
    found: list[Row] = []
    for label, runs in grouped(histories).items():
        at: dict[int, list[Row]] = {}
        for row in (row for run in runs for row in run.having(*keys.values())):
            at.setdefault(row["step"], []).append(row)
        group = counted(label, len(runs))
        for step, rows in sorted(at.items()):
            values = {column: over([row[key] for row in rows], how[column]) for column, key in keys.items()}
            found.append({"group": group, "step": step, **values})
    return found if limit is None else thin(found, by=["group"], how=dict.fromkeys(keys, "mean"), limit=limit)
