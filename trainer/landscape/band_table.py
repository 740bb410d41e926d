"""Bands over sibling runs as one number each: of each group, over seeds, and of one group to the other."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from trainer.runs.bands import Band, bands, has_rows, probe_medians
from trainer.runs.history import History

BETA = "runs/beta"
_NUMBERS: dict[str, tuple[str, Callable[[Band], float]]] = {  # of a band of the metric
    "mean_width": ("mean width", lambda band: band.mean_width),
    "area": ("area", lambda band: band.area),
    "mean_level": ("mean level", lambda band: band.mean_level),
}


def band_table(histories: Sequence[History], key: str, *, from_step: int = 0, gap: int = 1) -> dict[str, Any]:
    """Plain values, for JSON. Raises CheckpointError where no run has the metric.

    A number is {"mean", "std", "n", "by_seed"}. Each of `groups` has those of its bands' mean width, area and mean
    level, and of beta: the mean over steps of the largest `runs/beta` among its runs. `ratio`, where there are two
    groups, is of the second to the first, seed by seed, over the steps that both have. `medians` are of the paper's
    `probe/*`.
    """
    found = bands(histories, key, from_step=from_step, gap=gap)
    betas = bands(histories, BETA, from_step=from_step, gap=gap).bands if has_rows(histories, BETA) else ()
    names = sorted({band.group for band in found.bands})
    return {
        "key": key,
        "from_step": from_step,
        "gap": gap,
        "groups": [_group(name, found.bands, betas) for name in names],
        "ratio": _ratio(names[1], names[0], found.bands, betas) if len(names) == 2 else None,
        "medians": _medians(histories, from_step),
        "notes": list(found.notes),
    }


def as_text(table: Mapping[str, Any]) -> str:
    """The table for a terminal, the paper's medians below it, then what is not as it should be."""
    heads = {name: head for name, (head, _) in _NUMBERS.items()} | {"beta": "beta"}
    lines = [["group", "rates", "steps", *heads.values()]]
    for group in table["groups"]:
        rates = " ".join(f"{rate:g}" for rate in group["rates"])
        numbers = [_spread(group.get(name)) for name in heads]
        lines.append([group["group"], rates, "{}-{}".format(*group["steps"]), *numbers])
    if ratio := table["ratio"]:
        lines.append([" / ".join(ratio["of"]), "", "", *(_spread(ratio.get(name)) for name in heads)])
    blocks = [_columns(lines)] if table["groups"] else []
    if medians := table["medians"]:
        groups = sorted({group for found in medians.values() for group in found})
        rows = [[name, *(_spread(found.get(group)) for group in groups)] for name, found in medians.items()]
        blocks.append(_columns([["median over rates and steps", *groups], *rows]))
    if table["notes"]:
        blocks.append("\n".join(table["notes"]))
    return "\n\n".join([f"{table['key']}: mean +- standard deviation over seeds", *blocks])


def _group(name: str, found: Sequence[Band], betas: Sequence[Band]) -> dict[str, Any]:
    ours = {band.seed: band for band in found if band.group == name}
    steps = [band.steps for band in ours.values()]
    group: dict[str, Any] = {
        "group": name,
        "rates": sorted({rate for band in ours.values() for rate in band.rates}),
        "steps": [int(min(each[0] for each in steps)), int(max(each[-1] for each in steps))],
        "diverged": {seed: band.diverged for seed, band in ours.items() if band.diverged},
    }
    for key, (_, number) in _NUMBERS.items():
        group[key] = _number({seed: number(band) for seed, band in ours.items()})
    beta = {band.seed: band.mean_high for band in betas if band.group == name}
    return group | ({"beta": _number(beta)} if beta else {})


def _ratio(over: str, under: str, found: Sequence[Band], betas: Sequence[Band]) -> dict[str, Any]:
    ratio: dict[str, Any] = {"of": [over, under]}
    for key, (_, number) in _NUMBERS.items():
        ratio[key] = _quotients(over, under, found, number)
    ratio["beta"] = _quotients(over, under, betas, lambda band: band.mean_high)
    return {key: value for key, value in ratio.items() if value}


def _quotients(over: str, under: str, found: Sequence[Band], number: Callable[[Band], float]) -> dict[str, Any] | None:
    """Seed by seed; without seeds that one of the two lacks, and those where it would divide by 0."""
    above, below = ({band.seed: band for band in found if band.group == name} for name in (over, under))
    quotients: dict[int, float] = {}
    for seed in sorted(above.keys() & below.keys()):
        one, other = above[seed].at(below[seed].steps), below[seed].at(above[seed].steps)
        if len(one.steps) and (divisor := number(other)):
            quotients[seed] = number(one) / divisor
    return _number(quotients) if quotients else None


def _medians(histories: Sequence[History], from_step: int) -> dict[str, dict[str, Any]]:
    by_name: dict[str, dict[str, dict[int, float]]] = {}
    for (group, seed, name), median in probe_medians(histories, from_step=from_step).items():
        by_name.setdefault(name, {}).setdefault(group, {})[seed] = median
    return {name: {group: _number(seeds) for group, seeds in found.items()} for name, found in by_name.items()}


def _number(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    return {
        "mean": fmean(values),
        "std": stdev(values) if len(values) > 1 else None,
        "n": len(values),
        "by_seed": dict(by_seed),
    }


def _spread(number: Mapping[str, Any] | None) -> str:
    if number is None:
        return "-"
    spread = "" if number["std"] is None else f" +- {number['std']:.2g}"
    return f"{number['mean']:.4g}{spread} (n={number['n']})"


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
