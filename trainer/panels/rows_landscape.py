"""Rows of what the probes measure: along the gradient (`probe/*`) and from step to step (`runs/*`)."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from trainer.bands import loss_bands
from trainer.history import History
from trainer.panels.groups import counted, grouped
from trainer.panels.panel import Row, Rows
from trainer.panels.thin import over, thin

_BAND = {"low": "min", "mean": "mean", "high": "max"}
_MEANS = {"low": "mean", "high": "mean"}
_STRETCHES = 100  # points of a line that is averaged over steps
PAPER, REPORTS = "along the gradient", "from step to step"
"""The two families of measurements, as panels call them."""


def loss_band(histories: Sequence[History]) -> list[Row]:
    """`group, seed, step, low, mean, high` of `runs/loss` over runs that differ in their rate alone, the reports' way.

    Of many steps, all three are averaged over stretches, a hundredth of the run each: a step's loss is its batch's, and
    a stretch's extremes would draw that noise as width. So the band keeps its area and mean width. What there is to
    say of runs that are missing or diverged, `trainer probe bands` says.
    """
    measured = [history for history in histories if history.having("runs/loss")]
    rows = loss_bands(measured) if measured else []
    lines = len({(row["group"], row["seed"]) for row in rows})
    return thin(rows, by=["group", "seed"], how=dict.fromkeys(_BAND, "mean"), limit=_STRETCHES * lines)


def along_the_gradient(low: str, high: str, mean: str | None = None) -> Rows:
    """`group, step, low, high` and, where `mean` is given, `mean` of three metrics of the same row.

    Several runs of a group make one band: the lowest, the mean and the highest over them at each step.
    """

    def rows(histories: Sequence[History]) -> list[Row]:
        keys = {"low": low, "high": high, **({"mean": mean} if mean else {})}
        return _band(histories, keys, {})

    return rows


def cosines(histories: Sequence[History]) -> list[Row]:
    """`group, measure, step, low, high` of the cosines of gradients: the paper's, from the least to the greatest along
    the gradient; and the reports', of successive steps, which are so many and so unlike that `low` and `high` are both
    the mean over a group's runs and a stretch of steps, a hundredth of them all."""
    paper = {"low": "probe/grad_cosine_min", "high": "probe/grad_cosine_max"}
    reports = {"low": "runs/grad_cosine", "high": "runs/grad_cosine"}
    found = _band(histories, paper, {"measure": PAPER})
    successive = _band(histories, reports, {"measure": REPORTS}, _MEANS)
    groups = len({row["group"] for row in successive})
    return [*found, *thin(successive, by=["group"], how=_MEANS, limit=_STRETCHES * groups)]


def shifts(metric: str) -> Rows:
    """`group, layer, order, step, shift` of `probe/METRIC/LAYER`, the mean over a group's runs; layers in the network's
    order. What is 0 is left out where the metric is a distance: the first layer's by definition."""
    prefix = f"probe/{metric}/"

    def rows(histories: Sequence[History]) -> list[Row]:
        found: list[Row] = []
        for label, runs in grouped(histories, over=_rates_where_more_differs(histories)).items():
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
    histories: Sequence[History], keys: Mapping[str, str], extra: Row, how: Mapping[str, str] = _BAND
) -> list[Row]:
    """Columns over a group's runs, as `how` says, at each step where a run has all of `keys`."""
    found: list[Row] = []
    for label, runs in grouped(histories, over=_rates_where_more_differs(histories)).items():
        at: dict[int, list[Row]] = {}
        for row in (row for run in runs for row in run.having(*keys.values())):
            at.setdefault(row["step"], []).append(row)
        group = {"group": counted(label, len(runs)), **extra}
        found += [
            {
                **group,
                "step": step,
                **{column: over([row[key] for row in rows], how[column]) for column, key in keys.items()},
            }
            for step, rows in sorted(at.items())
        ]
    return thin(found, by=["group"], how={column: how[column] for column in keys})


def _rates_where_more_differs(histories: Sequence[History]) -> list[str]:
    """With and without BatchNorm at five rates are two groups; five rates of one network are five."""
    over = ["optimizer.lr"]
    return over if len(grouped(histories, over=over)) > 1 else []
