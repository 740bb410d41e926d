"""Rows of what the probes measure: along the gradient (`probe/*`) and from step to step (`runs/*`)."""

from collections.abc import Mapping
from statistics import fmean

from trainer.panels.panel import Histories, Row, Rows, counting
from trainer.panels.thin import LIMIT, over, thin
from trainer.runs.bands import loss_bands
from trainer.runs.groups import counted

_EXTREMES = {"low": "min", "mean": "mean", "high": "max"}
_STRETCHES = 100  # points of a line that is averaged over steps
PAPER, REPORTS = "along the gradient", "from step to step"
"""Names of the two families of measurements on the panels."""


def run_band(key: str) -> Rows:
    """Make rows `group, seed, step, low, mean, high` of a metric over runs that differ in their learning rate only.

    Their groups are those of `trainer landscape bands`, which also reports missing and diverged runs. If there are many
    steps, all three columns are means over stretches of a hundredth of the run. The value of a single step depends on
    its batch, so the extremes of a stretch would draw that noise as width. Means keep the area and mean width.
    """

    def rows(groups: Histories) -> list[Row]:
        measured = [run for runs in groups.values() for run in runs if run.having(key)]
        return in_stretches(loss_bands(measured, key) if measured else [])

    return rows


def in_stretches(bands: list[Row]) -> list[Row]:
    """Return rows `group, seed, step, low, mean, high` of bands as means over stretches, if there are many steps."""
    lines = len({(row["group"], row["seed"]) for row in bands})
    how = dict.fromkeys(_EXTREMES, "mean")
    return thin(bands, by=["group", "seed"], how=how, limit=min(LIMIT, _STRETCHES * lines))


def along_the_gradient(low: str, high: str, mean: str | None = None) -> Rows:
    """Make rows `group, step, low, high`, and `mean` if it is given, of three metrics of the same row.

    Each is the mean over a group's runs, so a band is as wide as that of one run, however much the runs differ.
    """
    keys = {"low": low, "high": high, **({"mean": mean} if mean else {})}
    how = dict.fromkeys(keys, "mean")
    return lambda groups: _band(groups, keys, how, limit=LIMIT // len(keys))


def mean_with_extremes(key: str) -> Rows:
    """Make rows `group, step, low, mean, high` of one metric: lowest, mean and highest over a group's runs."""
    return lambda groups: _band(groups, dict.fromkeys(_EXTREMES, key), _EXTREMES, limit=LIMIT)


def cosines(groups: Histories) -> list[Row]:
    """Return `group, measure, step, low, high` of the cosines of gradients, means over a group's runs.

    The paper's go from the lowest to the highest along the gradient. The reports' are of successive steps. They are
    many and noisy, so `low` and `high` are both the mean over a stretch, a hundredth of all steps.
    """
    limit = LIMIT // 4  # two halves, each a table of two columns that a preset stacks
    paper = {"low": "probe/grad_cosine_min", "high": "probe/grad_cosine_max"}
    reports = {"low": "runs/grad_cosine", "high": "runs/grad_cosine"}
    how = dict.fromkeys(paper, "mean")
    along = _band(groups, paper, how, limit=limit)
    successive = _band(groups, reports, how, limit=None)
    lines = len({row["group"] for row in successive})
    smooth = thin(successive, by=["group"], how=how, limit=min(limit, _STRETCHES * lines))
    return [{**row, "measure": name} for name, rows in ((PAPER, along), (REPORTS, smooth)) for row in rows]


def shifts(metric: str) -> Rows:
    """Make rows `group, layer, order, step, shift` of `probe/METRIC/LAYER`, the mean over a group's runs.

    Layers are in the network's order. A layer that is 0 throughout is left out, such as the first one, whose distance
    is 0 by definition.
    """
    prefix = f"probe/{metric}/"

    def rows(groups: Histories) -> list[Row]:
        table: list[Row] = []
        for label, runs in counting(groups).items():
            layers = dict.fromkeys(key for run in runs for row in run.rows for key in row if key.startswith(prefix))
            for order, key in enumerate(layers):
                at: dict[int, list[float]] = {}
                for row in (row for run in runs for row in run.having(key)):
                    at.setdefault(row["step"], []).append(row[key])
                place = {"group": counted(label, len(runs)), "layer": key.removeprefix(prefix), "order": order}
                shift = {step: fmean(values) for step, values in sorted(at.items())}
                if any(shift.values()):
                    table += [{**place, "step": step, "shift": value} for step, value in shift.items()]
        return thin(table, by=["group", "layer"], how={"shift": "mean"})

    return rows


def _band(groups: Histories, keys: Mapping[str, str], how: Mapping[str, str], *, limit: int | None) -> list[Row]:
    """Return columns over those of a group's runs that have all of `keys` at a step, as `how` says.

    More rows than `limit` become means over stretches of steps, whose extremes would be the noise of their batches.
    """
    table: list[Row] = []
    for label, runs in counting(groups).items():
        at: dict[int, list[Row]] = {}
        for row in (row for run in runs for row in run.having(*keys.values())):
            at.setdefault(row["step"], []).append(row)
        group = counted(label, len(runs))
        for step, rows in sorted(at.items()):
            values = {column: over([row[key] for row in rows], how[column]) for column, key in keys.items()}
            table.append({"group": group, "step": step, **values})
    return table if limit is None else thin(table, by=["group"], how=dict.fromkeys(keys, "mean"), limit=limit)
