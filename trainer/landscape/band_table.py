"""Bands over sibling runs as one number each: per group over seeds, and as the ratio of two groups."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.runs.bands import Band, bands, probe_medians
from trainer.runs.history import History
from trainer.statistics.describe import describe
from trainer.text import NONE, spread, table

BETA = "runs/beta"
_NUMBERS: dict[str, tuple[str, Callable[[Band], float]]] = {  # of a band of the metric
    "mean_width": ("mean width", lambda band: band.mean_width),
    "area": ("area", lambda band: band.area),
    "mean_level": ("mean level", lambda band: band.mean_level),
}


def band_table(histories: Sequence[History], key: str, *, from_step: int = 0, gap: int = 1) -> dict[str, Any]:
    """Return plain values, for JSON. Raises CheckpointError if no run has the metric.

    A number is {"mean", "std", "n", "by_seed"}. `groups` has mean width, area and mean level of each group's bands, and
    beta: the largest `runs/beta` among its runs, averaged over steps. If there are two groups, `ratio` is the second
    over the first, seed by seed, at the steps that both have. `medians` are of the paper's `probe/*`.
    """
    measured = bands(histories, key, from_step=from_step, gap=gap)
    with_beta = any(BETA in row for history in histories for row in history.rows)
    betas = bands(histories, BETA, from_step=from_step, gap=gap).bands if with_beta else ()
    names = sorted({band.group for band in measured.bands})
    return {
        "key": key,
        "from_step": from_step,
        "gap": gap,
        "groups": [_group(name, measured.bands, betas) for name in names],
        "ratio": _ratio(names[1], names[0], measured.bands, betas) if len(names) == 2 else None,
        "medians": _medians(histories, from_step),
        "notes": list(measured.notes),
    }


def as_text(values: Mapping[str, Any]) -> str:
    """Return the values as a table, the paper's medians and the notes."""
    heads = {name: head for name, (head, _) in _NUMBERS.items()} | {"beta": "beta"}
    rows = [["group", "rates", "steps", *heads.values()]]
    for group in values["groups"]:
        rates = " ".join(f"{rate:g}" for rate in group["rates"])
        rows.append([group["group"], rates, "{}-{}".format(*group["steps"]), *_cells(group, heads)])
    if ratio := values["ratio"]:
        rows.append([" / ".join(ratio["of"]), "", "", *_cells(ratio, heads)])
    blocks = [table(rows)] if values["groups"] else []
    if medians := values["medians"]:
        groups = sorted({group for by_group in medians.values() for group in by_group})
        rows = [[name, *_cells(by_group, groups)] for name, by_group in medians.items()]
        blocks.append(table([["median over rates and steps", *groups], *rows]))
    if values["notes"]:
        blocks.append("\n".join(values["notes"]))
    return "\n\n".join([f"{values['key']}: mean ± standard deviation over seeds", *blocks])


def _group(name: str, measured: Sequence[Band], betas: Sequence[Band]) -> dict[str, Any]:
    own = {band.seed: band for band in measured if band.group == name}
    group: dict[str, Any] = {
        "group": name,
        "rates": sorted({rate for band in own.values() for rate in band.rates}),
        "steps": [int(min(band.steps[0] for band in own.values())), int(max(band.steps[-1] for band in own.values()))],
        "diverged": {seed: band.diverged for seed, band in own.items() if band.diverged},
    }
    for key, (_, number_of) in _NUMBERS.items():
        group[key] = _number({seed: number_of(band) for seed, band in own.items()})
    beta = {band.seed: band.mean_high for band in betas if band.group == name}
    return group | ({"beta": _number(beta)} if beta else {})


def _ratio(over: str, under: str, measured: Sequence[Band], betas: Sequence[Band]) -> dict[str, Any]:
    quotients = {key: _quotients(over, under, measured, number_of) for key, (_, number_of) in _NUMBERS.items()}
    quotients["beta"] = _quotients(over, under, betas, lambda band: band.mean_high)
    return {"of": [over, under]} | {key: _number(by_seed) for key, by_seed in quotients.items() if by_seed}


def _quotients(over: str, under: str, measured: Sequence[Band], number_of: Callable[[Band], float]) -> dict[int, float]:
    """Return the quotient of each seed that both groups have, if the divisor is not 0."""
    above, below = ({band.seed: band for band in measured if band.group == name} for name in (over, under))
    quotients: dict[int, float] = {}
    for seed in sorted(above.keys() & below.keys()):
        dividend, divisor = above[seed].at(below[seed].steps), below[seed].at(above[seed].steps)
        if len(dividend.steps) and (under_number := number_of(divisor)):
            quotients[seed] = number_of(dividend) / under_number
    return quotients


def _medians(histories: Sequence[History], from_step: int) -> dict[str, dict[str, Any]]:
    by_name: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for (group, seed, name), median in probe_medians(histories, from_step=from_step).items():
        by_name[name][group][seed] = median
    return {name: {group: _number(by_seed) for group, by_seed in groups.items()} for name, groups in by_name.items()}


def _number(by_seed: Mapping[int, float]) -> dict[str, Any]:
    sample = describe(list(by_seed.values()))
    assert sample is not None  # a group has at least one band
    return {"mean": sample.mean, "std": sample.std, "n": sample.n, "by_seed": dict(by_seed)}


def _cells(numbers: Mapping[str, Any], names: Sequence[str] | Mapping[str, str]) -> list[str]:
    return [spread(numbers[name]["by_seed"].values(), digits=None) if name in numbers else NONE for name in names]
