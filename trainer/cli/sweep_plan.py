"""`trainer sweep plan`: what sweeps will cost and what they can tell, before anything runs."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from trainer.cli import sweep_here as here
from trainer.cli.options import HaveFlag, JsonFlag, RunsFlag, print_json
from trainer.cli.sweep_flags import DevicesFlag, Files, JobsFlag, OnlyFlag, PerDeviceFlag, SeedsFlag, StorageFlag
from trainer.errors import CheckpointError, SweepError, UserError

if TYPE_CHECKING:
    from trainer.report.forecast import Comparison, Forecast, Noise, Power
    from trainer.sweep.local import LocalSweep

NoiseFlag = Annotated[
    str | None,
    Option(
        help="Standard deviation from seed to seed: a number, in points of an accuracy, or runs that measure it: a"
        " sweep, a folder or an archive. Default: the finished runs of each sweep.",
        metavar="NUMBER_OR_RUNS",
    ),
]
DifferenceFlag = Annotated[
    float | None,
    Option(help="Difference that should be found, in points of an accuracy: 0.5. Of a ratio: 1.2.", metavar="POINTS"),
]
ToFlag = Annotated[Path | None, Option("--to", help="Draw it: a .html, .svg or .png file.", metavar="FILE")]


def plan(
    files: Files = None,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    jobs: JobsFlag = None,
    devices: DevicesFlag = "auto",
    per_device: PerDeviceFlag = None,
    have: HaveFlag = None,
    only: OnlyFlag = None,
    seeds: SeedsFlag = None,
    noise: NoiseFlag = None,
    difference: DifferenceFlag = None,
    to: ToFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what sweeps will cost and what they can tell. Only the first steps of each network run, to be timed."""
    from trainer.report.forecast import chart_of
    from trainer.sweep.child import warm_up
    from trainer.sweep.engine import device_env
    from trainer.sweep.gpus import devices_of, refuse_missing_gpus
    from trainer.sweep.order import Plan, read_seeds

    if to is not None and to.suffix.lower() not in (".html", ".svg", ".png"):
        raise SweepError(f"--to: {to}: a chart is written as .html, .svg or .png")
    paths, overrides = here.files_and_overrides(files or [], catalogue=False)
    wish = Plan(seeds=read_seeds(seeds) if seeds is not None else (), only=tuple(only or ()))
    chosen = devices_of(devices)
    place = here.Place(runs, storage, chosen, here.jobs_of(chosen, jobs, per_device))
    sweeps = here.opened(paths, overrides, place, have or (), wish)
    powers = {sweep.name: power for sweep in sweeps if (power := _power(sweep, noise, difference, runs))}
    chart = chart_of(powers) if to is not None else None
    envs = {device: device_env(device) for device in chosen}
    warm_up()  # after the check, so that a mistake does not wait for torch
    refuse_missing_gpus(chosen)
    for sweep in sweeps:
        here.warn_of(sweep.checked)
    forecasts = [_forecast(sweep, powers.get(sweep.name), place, envs) for sweep in sweeps]
    if to is not None and chart is not None:
        from trainer.panels.render import render

        render(chart, to)
    if as_json:
        return print_json(here.one_or_all({each.sweep.name: each.as_json() for each in forecasts}, paths))
    typer.echo("\n\n".join(each.as_text() for each in forecasts))
    if to is not None:
        typer.echo(str(to))


def _power(sweep: "LocalSweep", noise: str | None, difference: float | None, runs: Path) -> "Power | None":
    from trainer.report.forecast import Power, comparison_of

    comparison = comparison_of(sweep.checked.sweep, [entry.point for entry in sweep.checked.entries])
    if comparison is None:
        return None
    comparison, known = _noise(sweep, comparison, noise, runs)
    if difference is None:
        return Power(comparison, known)
    if known is None:
        raise SweepError(f"--difference: the noise of {sweep.name} is not known; give --noise 0.3, or --noise RUNS")
    return Power(comparison, known, comparison.read(difference))


def _noise(
    sweep: "LocalSweep", comparison: "Comparison", noise: str | None, runs: Path
) -> "tuple[Comparison, Noise | None]":
    """Return the comparison on the scale of the runs that measure its noise, and the noise, None if not known."""
    from trainer.report.forecast import Noise, as_measured, noise_of
    from trainer.report.sources import source_of
    from trainer.report.tables import archives_beside, read_table_of, read_tables

    with suppress(ValueError):
        if (std := float(noise or "")) <= 0 or not math.isfinite(std):
            raise SweepError(f"--noise: {noise}: expected a standard deviation above 0, such as 0.3")
        if comparison.test != "pairs":
            return comparison, Noise(std, std, std, "as given")
        pair = math.sqrt(2) * std  # of two runs that have nothing but the seed in common
        return comparison, Noise(pair, pair, pair, f"{std:g} of a seed, as given")
    if noise is None:  # the runs of its own name, by the file that is planned
        own = source_of(sweep.name, runs, archives_beside(runs))
        if own is None:
            return comparison, None
        measuring = read_table_of(replace(own, given=sweep.checked.sweep.path))
    else:
        try:
            measuring, *_ = read_tables([noise], runs, archives_beside(runs))
        except CheckpointError as error:
            raise UserError(*(f"--noise: {problem}" for problem in error.problems)) from error
    found = noise_of(comparison, measuring, noise or sweep.name)
    if found is None and noise is not None:
        name = comparison.outcome.name
        raise SweepError(f"--noise: {noise}: no configuration in it has two seeds with {name} that differ")
    return as_measured(comparison, measuring), found


def _forecast(
    sweep: "LocalSweep", power: "Power | None", place: here.Place, envs: Mapping[str, Mapping[str, str]]
) -> "Forecast":
    from trainer.report.forecast import Forecast
    from trainer.sweep.cost import costs_of
    from trainer.sweep.local import env_of
    from trainer.sweep.pilot import Pilot

    checked = sweep.checked.sweep
    slots = tuple(place.devices[number % len(place.devices)] for number in range(place.jobs))
    shared, say = env_of(checked, place.jobs), partial(typer.echo, err=True)
    pilots = {device: Pilot(place.runs, {**shared, **env}, say) for device, env in envs.items()}
    costs = costs_of(sweep, lambda entry, device: pilots[device].seconds(entry, checked), slots)
    return Forecast(checked, tuple(costs), len(sweep.entries) or sweep.progress().total, slots, power)
