"""`trainer sweep run` and `rerun` on this machine, after the flags are read."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from time import time as unix_time
from typing import TYPE_CHECKING

import typer

from trainer.cli.options import print_json
from trainer.errors import SweepError

if TYPE_CHECKING:
    from trainer.statistics.sequential import Design
    from trainer.sweep.local import LocalSweep
    from trainer.sweep.order import Plan
    from trainer.sweep.points import Checked
    from trainer.sweep.status import Progress


@dataclass(frozen=True)
class OnRay:
    """A Ray cluster, and what is asked of it."""

    address: str
    per_device: int
    jobs: int | None


@dataclass(frozen=True)
class Place:
    """The folder of runs, how many there are at once, and where."""

    runs: Path
    storage: str | None
    devices: Sequence[str]
    jobs: int
    ray: OnRay | None = None


def jobs_of(devices: Sequence[str], jobs: int | None, per_device: int | None) -> int:
    """Return the number of runs at once. Raises SweepError if both flags say it, or for what is no device."""
    from trainer.sweep.engine import device_env

    for device in devices:
        device_env(device)
    if jobs is not None and per_device is not None:
        raise SweepError("--jobs and --per-device are two ways of saying one thing; use one")
    return jobs or len(devices) * (per_device or 1)


def read_per_device(text: str | None, *, alone: bool) -> int | None:
    """Return the number, None for `auto` or no text. `alone`: neither --jobs nor --ray is given. Raises SweepError."""
    if text is None or text == "auto":
        if text and not alone:
            raise SweepError("--per-device auto: measures the devices of this machine; leave out --jobs and --ray")
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise SweepError(f"--per-device {text}: expected a number above 0, or auto")
    return int(text)


def filled(place: Place, sweeps: "Sequence[LocalSweep]") -> Place:
    """Return the place with as many runs at once as fit into the memory of its devices."""
    from trainer.sweep.engine import device_env
    from trainer.sweep.gpus import refuse_missing_gpus
    from trainer.sweep.memory import runs_at_once

    refuse_missing_gpus(place.devices)
    each = runs_at_once(sweeps, device_env(place.devices[0]), partial(typer.echo, err=True))
    return replace(place, jobs=each * len(place.devices))


def run_each(sweeps: "Sequence[LocalSweep]", place: Place, retry: bool, as_json: bool) -> int:
    """Run each sweep to its end, after all of them were checked."""
    from trainer.sweep.live import SweepView

    code = 0
    said: dict[str, object] = {}
    with at(place, sweeps) as placed:
        for sweep in placed:
            warn_of(sweep.checked)
            with SweepView(sweep.name) as view:
                progress, signal = sweep.run(jobs=place.jobs, devices=place.devices, retry=retry, watch=view.show)
            said[sweep.name] = progress.as_json()
            if not as_json:
                print_progress(progress, False)
            note_others(sweep, progress)
            failed, left = progress.count("crashed", "diverged"), sweep.left(progress)
            _note_what_is_left(sweep, place, failed=0 if signal else failed, left=left)
            code = 128 + signal if signal else max(code, int(failed + left > 0))
            if signal:
                break
    if as_json:
        print_json(one_or_all(said, sweeps))
    return code


def _note_what_is_left(sweep: "LocalSweep", place: Place, *, failed: int, left: int) -> None:
    """Print how what failed or is left is run."""
    again = rerun_of(sweep.checked.sweep.path, place)
    if failed and place.ray:
        typer.echo(f"{failed} points failed; the same command with --retry runs them again", err=True)
    elif failed:
        typer.echo(f"{failed} points failed; `{again}` runs them again", err=True)
    elif left and place.ray:
        typer.echo("continue with the same command", err=True)
    elif left:
        typer.echo(f"continue with the same command, or `{again}`", err=True)


def note_others(sweep: "LocalSweep", progress: "Progress") -> None:
    """Print what other commands still run, and if runs of a shared database have no folder here, for a report."""
    from trainer.sweep.status import DONE

    if running := progress.count("running"):
        others = "1 point is" if running == 1 else f"{running} points are"
        typer.echo(f"{others} still run by another command or machine", err=True)
    attempts = [attempt for status in progress.points for attempt in status.attempts]
    done = [each for each in attempts if each.state in DONE and not each.archive]
    away = [each for each in done if not (sweep.folder / each.where).is_dir()]
    if sweep.storage is not None and away:
        pack = shlex.join(["trainer", "report", "pack", str(sweep.folder), "--to", f"{sweep.name}.jsonl.gz"])
        typer.echo(
            f"on another machine, and not in {sweep.folder}: {len(away)} of {len(done)} runs that are done; pack each"
            f" machine's runs for one report: `{pack}`",
            err=True,
        )


def rerun_of(path: Path, place: Place) -> str:
    """Return the command that runs the failed points of a sweep again, without the password of its storage."""
    from trainer.sweep.storage import without_password

    words = ["trainer", "sweep", "rerun", str(path)]
    words += ["--runs", str(place.runs)] if place.runs != Path("runs") else []
    known = place.storage in (None, os.environ.get("TRAINER_STORAGE"))
    return shlex.join([*words, *([] if known else ["--storage", without_password(place.storage or "")])])


@contextmanager
def at(place: Place, sweeps: "Sequence[LocalSweep]") -> "Iterator[Sequence[LocalSweep]]":
    """Yield the sweeps as they run at a place: here, or on a cluster.

    They were checked before, so that a mistake waits neither for torch nor for a cluster.
    """
    if place.ray is None:
        from trainer.sweep.child import warm_up
        from trainer.sweep.gpus import refuse_missing_gpus

        warm_up()
        refuse_missing_gpus(place.devices)
        yield sweeps
        return
    from trainer.sweep.ray_cluster import RayCluster, connected
    from trainer.sweep.ray_fit import refuse_what_does_not_fit

    asked, say = place.ray, partial(typer.echo, err=True)
    with (
        connected(asked.address),
        closing(RayCluster(place.runs, per_device=asked.per_device, jobs=asked.jobs, say=say)) as cluster,
    ):
        refuse_what_does_not_fit(sweeps, cluster, per_device=asked.per_device)
        yield [replace(sweep, cluster=cluster) for sweep in sweeps]


def opened(
    paths: Sequence[Path], overrides: list[str], place: Place, have: Sequence[Path] = (), plan: "Plan | None" = None
) -> "list[LocalSweep]":
    """Check all sweeps before any of them runs, and say what `have` lacks. Raises SweepError with every mistake."""
    from trainer.sweep.local import open_sweep

    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(path.stem, []).append(path)
    if twice := [" and ".join(map(str, same)) for same in named.values() if len(same) > 1]:
        raise SweepError(*(f"{files}: a file's name is its sweep's, and these have one; rename one" for files in twice))
    sweeps: list[LocalSweep] = []
    problems: list[str] = []
    for path in paths:
        try:
            sweeps.append(open_sweep(path, overrides, runs=place.runs, storage=place.storage, have=have, plan=plan))
        except SweepError as error:
            problems += error.problems
    if problems:
        raise SweepError(*problems)
    for sweep in sweeps:
        packed = sweep.packed
        if any(path.is_file() for path in have) and not (packed.had or packed.unmeasured):  # a folder is of many sweeps
            typer.echo(f"note: --have: no run of it is a point of {sweep.name}", err=True)
        if (outcome := sweep.checked.sweep.header.outcome) and (count := len(packed.unmeasured)):
            runs = "1 run of it has" if count == 1 else f"{count} runs of it have"
            typer.echo(f"note: --have: {runs} no {outcome.name}, which {sweep.name} asks for: not done", err=True)
    return sweeps


def one_or_all(said: Mapping[str, object], asked: Sequence[object]) -> object:
    """Return what is said of the one sweep that was asked for, or of each of several, by its name."""
    return dict(said) if len(asked) > 1 else next(iter(said.values()))


def run_for(
    sweeps: "Sequence[LocalSweep]", place: Place, deadline: float, catalogue: bool, retry: bool, as_json: bool
) -> int:
    """Run whole rounds of seeds until `time.monotonic` is `deadline`. Points that did not fit are no failure."""
    from trainer.sweep import budget
    from trainer.sweep.child import warm_up
    from trainer.sweep.gpus import refuse_missing_gpus
    from trainer.sweep.live import shown
    from trainer.sweep.local import env_of
    from trainer.sweep.pilot import Pilot

    warm_up()
    refuse_missing_gpus(place.devices)
    for sweep in sweeps:
        warn_of(sweep.checked)
    say = partial(typer.echo, err=True)
    pilots = {sweep.name: Pilot(place.runs, env_of(sweep.checked.sweep, place.jobs), say) for sweep in sweeps}
    spent = budget.run_for(
        sweeps,
        deadline - monotonic(),
        predict=lambda entry, sweep: pilots[sweep.name].seconds(entry, sweep.checked.sweep),
        rank=budget.most_rows_an_hour if catalogue else budget.cheapest_first,
        watch=lambda sweep: shown(sweep.name),
        say=say,
        jobs=place.jobs,
        devices=place.devices,
        retry=retry,
    )
    if as_json:
        said = {sweep.name: each.as_json() for sweep, each in zip(sweeps, spent.progress, strict=True)}
        print_json(one_or_all(said, sweeps))
    else:
        for sweep, each in zip(sweeps, spent.progress, strict=True):
            typer.echo(f"{sweep.checked.sweep.path}")
            print_progress(each, as_json)
    for sweep, each in zip(sweeps, spent.progress, strict=True):
        note_others(sweep, each)
    failed = spent.skipped or any(each.count("crashed", "diverged") for each in spent.progress)
    return 128 + spent.signal if spent.signal else int(bool(failed))


@dataclass(frozen=True)
class Wish:
    """The flags of `--until decided`."""

    question: str
    at_least: int
    at_most: int
    margin: float | None  # in points of an accuracy, or in the metric's unit

    @property
    def numbers(self) -> "Design":
        """Return the design without its question. Raises SweepError for what cannot be one."""
        from trainer.statistics.sequential import Design

        try:
            return Design(at_least=self.at_least, at_most=self.at_most, margin=self.margin)
        except ValueError as error:
            raise SweepError(str(error)) from error

    def plan(self, plan: "Plan") -> "Plan":
        """Return a plan with the seeds that may be needed. Raises SweepError for what cannot be a design."""
        from trainer.sweep.decided import plan_for

        return plan_for(plan, self.numbers)


def run_decided(sweeps: "Sequence[LocalSweep]", place: Place, wish: Wish, as_json: bool) -> int:
    """Run each sweep until it is decided. A pair that is undecided at its last seed is no failure.

    The sweeps have the seeds of `wish.plan`.
    """
    from trainer.sweep.decided import design_of, run_until_decided
    from trainer.sweep.live import SweepView

    designs = [design_of(sweep, wish.question, wish.numbers) for sweep in sweeps]
    code = 0
    said: dict[str, object] = {}
    with at(place, sweeps) as placed:
        for sweep, design in zip(placed, designs, strict=True):
            warn_of(sweep.checked)
            with SweepView(sweep.name) as view:
                end = run_until_decided(
                    sweep,
                    design,
                    jobs=place.jobs,
                    devices=place.devices,
                    watch=view.show,
                    say=partial(typer.echo, err=True),
                )
            said[sweep.name] = end.as_json()
            if not as_json:
                print_progress(end.progress, False)
                typer.echo(end.as_text())
            note_others(sweep, end.progress)
            if end.left and not end.signal:
                typer.echo("continue with the same command", err=True)
            code = 128 + end.signal if end.signal else max(code, int(bool(end.failed or end.left)))
            if end.signal:
                break
    if as_json:
        print_json(one_or_all(said, sweeps))
    return code


def files_and_overrides(words: list[str], catalogue: bool) -> tuple[list[Path], list[str]]:
    """Return (sweep files, overrides) of what was typed. Raises SweepError if there is no file."""
    from trainer.sweep import catalogue as shipped

    named = [word for word in words if ("=" not in word and not word.startswith("-")) or Path(word).is_file()]
    overrides = [word for word in words if word not in named]
    if catalogue and named:
        raise SweepError(f"--catalogue: takes no file, but runs all that answer a published row; leave {named[0]} out")
    paths = [shipped.sweep_file(word) for word in named]
    if catalogue:
        from trainer.published import rows

        paths = sorted({shipped.sweep_file(row.sweep) for row in rows()})
    if not paths:
        raise SweepError(
            f"{' '.join(overrides[:1])}: expected a sweep file, such as sweeps/smoke.yaml".removeprefix(": ")
        )
    return paths, overrides


def seconds_of(time: str | None, until: str | None) -> float:
    from trainer.sweep.budget import read_duration, seconds_until

    if time is not None and until is not None:
        raise SweepError("--for and --until are two ways of saying one thing; use one")
    return read_duration(time) if time is not None else seconds_until(until or "", unix_time())


def warn_of(checked: "Checked") -> None:
    for warning in checked.warnings:
        typer.echo(f"warning: {checked.sweep.path}: {warning}", err=True)


def print_progress(progress: "Progress", as_json: bool) -> None:
    from trainer.sweep.status import as_text

    typer.echo(json.dumps(progress.as_json()) if as_json else as_text(progress))
