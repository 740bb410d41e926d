"""`trainer sweep run` and `rerun` on this machine, after the flags are read."""

import json
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import typer

from trainer.cli.options import print_json
from trainer.errors import SweepError

if TYPE_CHECKING:
    from trainer.sweep.order import Plan
    from trainer.sweep.points import Checked
    from trainer.sweep.status import Progress


@dataclass(frozen=True)
class Place:
    """The folder of runs, and how many there are at once."""

    runs: Path
    storage: str | None
    devices: Sequence[str]
    jobs: int


def run_one(
    file: Path,
    overrides: list[str],
    place: Place,
    retry: bool,
    as_json: bool,
    have: Sequence[Path] = (),
    plan: "Plan | None" = None,
) -> int:
    from trainer.sweep.child import warm_up
    from trainer.sweep.live import SweepView
    from trainer.sweep.local import open_sweep

    sweep = open_sweep(file, overrides, runs=place.runs, storage=place.storage, have=have, plan=plan)
    warm_up()  # after the check, so that a mistake does not wait for torch
    warn_of(sweep.checked)
    with SweepView(file.stem) as view:
        progress, signal = sweep.run(jobs=place.jobs, devices=place.devices, retry=retry, watch=view.show)
    print_progress(progress, as_json)
    failed = progress.count("crashed", "diverged")
    again = shlex.join(
        ["trainer", "sweep", "rerun", str(file), *(["--runs", str(place.runs)] if place.runs != Path("runs") else [])]
    )
    left = sweep.left(progress)
    if failed and not signal:
        typer.echo(f"{failed} points failed; `{again}` runs them again", err=True)
    elif left:
        typer.echo(f"continue with the same command, or `{again}`", err=True)
    if signal:
        return 128 + signal
    return int(failed + left > 0)


def run_for(
    paths: Sequence[Path],
    overrides: list[str],
    place: Place,
    plan: "Plan",
    seconds: float,
    catalogue: bool,
    retry: bool,
    have: Sequence[Path],
    as_json: bool,
) -> int:
    """Run whole rounds of seeds for a time. Points that did not fit are no failure."""
    from trainer.sweep import budget
    from trainer.sweep.child import warm_up
    from trainer.sweep.live import SweepView
    from trainer.sweep.local import env_of, open_sweep
    from trainer.sweep.pilot import Pilot

    begun = monotonic()
    sweeps = [
        open_sweep(path, overrides, runs=place.runs, storage=place.storage, have=have, plan=plan) for path in paths
    ]
    warm_up()
    for sweep in sweeps:
        warn_of(sweep.checked)
    with ExitStack() as views:
        say = partial(typer.echo, err=True)
        pilots = {sweep.name: Pilot(place.runs, env_of(sweep.checked.sweep, place.jobs), say) for sweep in sweeps}
        progress, signal = budget.run_for(
            sweeps,
            seconds - (monotonic() - begun),
            predict=lambda entry, sweep: pilots[sweep.name].seconds(entry, sweep.checked.sweep),
            rank=budget.most_rows_an_hour if catalogue else budget.cheapest_first,
            watch=lambda sweep: views.enter_context(SweepView(sweep.name)).show,
            say=say,
            jobs=place.jobs,
            devices=place.devices,
            retry=retry,
        )
    if as_json:
        print_json({sweep.name: each.as_json() for sweep, each in zip(sweeps, progress, strict=True)})
    else:
        for sweep, each in zip(sweeps, progress, strict=True):
            typer.echo(f"{sweep.checked.sweep.path}")
            print_progress(each, as_json)
    return 128 + signal if signal else int(any(each.count("crashed", "diverged") for each in progress))


@dataclass(frozen=True)
class Wish:
    """The flags of `--until decided`."""

    question: str
    at_least: int
    at_most: int
    margin: float | None  # in points of an accuracy, or in the metric's unit


def run_decided(
    paths: Sequence[Path],
    overrides: list[str],
    place: Place,
    plan: "Plan",
    wish: Wish,
    have: Sequence[Path],
    as_json: bool,
) -> int:
    """Run each sweep until it is decided. A pair that is undecided at its last seed is no failure."""
    from trainer.sweep.child import warm_up
    from trainer.sweep.decided import design_of, run_until_decided, seeds_for
    from trainer.sweep.live import SweepView
    from trainer.sweep.local import open_sweep

    opened = partial(open_sweep, overrides=overrides, runs=place.runs, storage=place.storage, have=have)
    designs = [
        design_of(
            opened(path), question=wish.question, at_least=wish.at_least, at_most=wish.at_most, margin=wish.margin
        )
        for path in paths
    ]
    sweeps = [opened(path, plan=replace(plan, seeds=seeds_for(opened(path), wish.at_most))) for path in paths]
    warm_up()
    code = 0
    for sweep, (design, margin) in zip(sweeps, designs, strict=True):
        warn_of(sweep.checked)
        with SweepView(sweep.name) as view:
            end = run_until_decided(
                sweep,
                design,
                margin=margin,
                jobs=place.jobs,
                devices=place.devices,
                watch=view.show,
                say=partial(typer.echo, err=True),
            )
        if as_json:
            print_json(end.as_json())
        else:
            print_progress(end.progress, False)
            typer.echo(end.as_text())
        if end.signal:
            return 128 + end.signal
        if end.left:
            typer.echo("continue with the same command", err=True)
        code = max(code, int(bool(end.failed or end.left)))
    return code


def files_and_overrides(words: list[str], catalogue: bool) -> tuple[list[Path], list[str]]:
    """Return (sweep files, overrides) of what was typed. Raises SweepError if there is no file."""
    paths = [Path(word) for word in words if "=" not in word and Path(word).suffix in (".yaml", ".yml")]
    overrides = [word for word in words if Path(word) not in paths]
    if catalogue and paths:
        raise SweepError(f"--catalogue: takes no file, but runs all that answer a published row; leave {paths[0]} out")
    if catalogue:
        from trainer.published import rows

        paths = sorted({Path("sweeps") / f"{row.sweep}.yaml" for row in rows()})
        if not paths[0].exists():
            raise SweepError("--catalogue: there is no sweeps/ here; change to the folder of the project")
    if not paths:
        raise SweepError(
            f"{' '.join(overrides[:1])}: expected a sweep file, such as sweeps/smoke.yaml".removeprefix(": ")
        )
    return paths, overrides


def seconds_of(time: str | None, until: str | None) -> float:
    from trainer.sweep.budget import read_duration, seconds_until

    if time is not None and until is not None:
        raise SweepError("--for and --until are two ways of saying one thing; use one")
    return read_duration(time) if time is not None else seconds_until(until or "", datetime.now().astimezone())


def warn_of(checked: "Checked") -> None:
    for warning in checked.warnings:
        typer.echo(f"warning: {checked.sweep.path}: {warning}", err=True)


def print_progress(progress: "Progress", as_json: bool) -> None:
    from trainer.sweep.status import as_text

    typer.echo(json.dumps(progress.as_json()) if as_json else as_text(progress))
