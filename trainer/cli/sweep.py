"""`trainer sweep`: check, run, plan, start, submit, status, rerun, list. Optuna, wandb, torch are imported inside."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from trainer.cli import sweep_here as here
from trainer.cli.examples import examples
from trainer.cli.options import TAKES_ANY_KEY, HaveFlag, JsonFlag, RunsFlag
from trainer.cli.sweep_flags import (
    AtLeastFlag,
    AtMostFlag,
    CatalogueFlag,
    DevicesFlag,
    File,
    Files,
    FirstFlag,
    JobsFlag,
    MarginFlag,
    OnlyFlag,
    OrderFlag,
    PerDeviceFlag,
    PerDeviceOrAutoFlag,
    QuestionFlag,
    RayFlag,
    RetryFlag,
    SeedsFlag,
    StorageFlag,
    Target,
    TimeFlag,
    UntilFlag,
    sweep_path,
)
from trainer.cli.sweep_plan import plan
from trainer.errors import SweepError, UserError

if TYPE_CHECKING:
    from trainer.sweep.file import Sweep
    from trainer.sweep.points import Checked

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run sweeps, on W&B or with no server.")

_REMOTE = re.compile(r"https?://.*|[^/]+/[^/]+/[^/.]+")  # a page of W&B's, or ENTITY/PROJECT/SWEEP


@app.command(epilog=examples("sweep check"))
def check(
    files: Annotated[list[Path], Argument(metavar="FILE...", help="Sweep files.", parser=sweep_path)],
    as_json: JsonFlag = False,
) -> None:
    """Check sweep files and every point in them."""
    from trainer.sweep.check import check as check_points
    from trainer.sweep.file import read_sweep

    problems: list[str] = []
    checks: list[Checked] = []
    for path in files:
        try:
            checks.append(check_points(read_sweep(path)))
        except SweepError as error:
            problems += error.problems
    for checked in checks:
        here.warn_of(checked)
        if not as_json:
            typer.echo(f"{checked.sweep.path}: {_size(checked)}")
    if as_json:
        typer.echo(json.dumps([_as_json(checked) for checked in checks]))
    else:
        for note in _on_wandb([checked.sweep for checked in checks]):
            typer.echo(f"note: {note}", err=True)
    if problems:
        raise SweepError(*problems)


def _on_wandb(sweeps: Sequence["Sweep"]) -> Iterator[str]:
    """Yield what W&B's server does in another way than `trainer sweep run`."""
    from trainer.sweep.order import seeds_run_first_on_wandb

    if named := [str(sweep.path) for sweep in sweeps if seeds_run_first_on_wandb(sweep)]:
        yield (
            "under W&B all seeds of a configuration run before the next one, so a broken-off sweep has no whole round."
            f" `trainer sweep run` takes each configuration once, then again: {', '.join(named)}"
        )
    if named := [str(sweep.path) for sweep in sweeps if sweep.seeds_per_point > 1]:
        yield f"under W&B each point of a search runs once, whatever `# Seeds:` says: {', '.join(named)}"


@app.command(context_settings=TAKES_ANY_KEY, epilog=examples("sweep run"))
def run(
    files: Files = None,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    jobs: JobsFlag = None,
    devices: DevicesFlag = "auto",
    per_device: PerDeviceOrAutoFlag = None,
    ray: RayFlag = None,
    retry: RetryFlag = False,
    have: HaveFlag = None,
    order: OrderFlag = "seeds-first",
    first: FirstFlag = None,
    only: OnlyFlag = None,
    seeds: SeedsFlag = None,
    time: TimeFlag = None,
    until: UntilFlag = None,
    question: QuestionFlag = None,
    at_least: AtLeastFlag = None,
    at_most: AtMostFlag = None,
    margin: MarginFlag = None,
    catalogue: CatalogueFlag = False,
    as_json: JsonFlag = False,
) -> int:
    """Run the points of sweeps here, without a server.

    Finished points are not run again. An override is the same at every point.
    """
    from trainer.sweep.gpus import devices_of
    from trainer.sweep.order import Plan, read_order, read_seeds

    if catalogue and time is None and until is None:
        raise SweepError("--catalogue: runs for weeks; say how long, by --for 4h or --until 04:30")
    paths, overrides = here.files_and_overrides(files or [], catalogue)
    asked = read_seeds(seeds) if seeds is not None else ()
    plan = Plan(read_order(order), tuple(first or ()), asked, only=tuple(only or ()))
    if ray is not None and (devices != "auto" or time is not None or until not in (None, "decided")):
        raise SweepError("--ray: it gives out the devices, and times of runs are known for this machine only; leave out"
                         " --devices, --for and --until HH:MM")  # fmt: skip
    each = here.read_per_device(per_device, alone=ray is None and jobs is None)
    chosen = [devices] if ray is not None else devices_of(devices)
    on_ray = None if ray is None else here.OnRay(ray, each or 1, jobs)
    at_once = here.jobs_of(chosen, jobs, each) if ray is None else jobs or each or 1
    place = here.Place(runs, storage, chosen, at_once, on_ray)
    wish = _wish(until, question, at_least, at_most, margin)
    if wish is not None and (time is not None or seeds is not None or only or catalogue or retry):
        others = "--for, --seeds, --only, --catalogue and --retry"
        raise SweepError(f"--until decided: it chooses the points itself; leave {others} out")
    timed = wish is None and (time is not None or until is not None)
    begun, seconds = monotonic(), here.seconds_of(time, until) if timed else None
    sweeps = here.opened(paths, overrides, place, have or (), wish.plan(plan) if wish else plan)
    deadline = None if seconds is None else begun + seconds
    if per_device == "auto":
        place = here.filled(place, sweeps)
        if deadline is not None and monotonic() > deadline:
            raise SweepError("--per-device auto: measuring took all the time that was given; give more, or a number")
    if wish is not None:
        return here.run_decided(sweeps, place, wish, as_json)
    if deadline is not None:
        return here.run_for(sweeps, place, deadline, catalogue, retry, as_json)
    return here.run_each(sweeps, place, retry, as_json)


def _wish(
    until: str | None, question: str | None, at_least: int | None, at_most: int | None, margin: float | None
) -> here.Wish | None:
    """Return what is asked of `--until decided`, None if that is not asked. Raises SweepError for flags without it."""
    if until == "decided":
        return here.Wish(
            question or "best", 3 if at_least is None else at_least, 10 if at_most is None else at_most, margin
        )
    asked = {"--question": question, "--at-least": at_least, "--at-most": at_most, "--margin": margin}
    if given := [flag for flag, value in asked.items() if value is not None]:
        raise SweepError(f"{given[0]}: goes with --until decided")
    return None


app.command(context_settings=TAKES_ANY_KEY, epilog=examples("sweep plan"))(plan)


@app.command(epilog=examples("sweep start"))
def start(
    file: File,
    agents: Annotated[int | None, Option(help="Agents at once. Default: one on each device.", min=1)] = None,
    devices: DevicesFlag = "auto",
    until: Annotated[
        str | None,
        Option(
            help="decided: give seeds to what is in question until it is decided. The rounds run here, since W&B has an"
            " order of its own, and W&B shows them in one group.",
            metavar="decided",
        ),
    ] = None,
    question: QuestionFlag = None,
    at_least: AtLeastFlag = None,
    at_most: AtMostFlag = None,
    margin: MarginFlag = None,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
) -> None:
    """Register a sweep with W&B and start agents for it here.

    --runs and --storage go with --until decided, as in `trainer sweep run`.
    """
    from trainer.sweep.file import read_sweep
    from trainer.sweep.gpus import devices_of
    from trainer.wandb_api import sweeps as remote

    wish = _wish(until, question, at_least, at_most, margin)
    chosen = devices_of(devices)
    jobs = here.jobs_of(chosen, agents, None)
    if wish is not None:
        from trainer.sweep.order import Plan
        from trainer.wandb_api.client import asking

        os.environ["WANDB_MODE"] = "online"
        with asking():  # it is refused without an account
            pass
        place = here.Place(runs, storage, chosen, jobs)
        sweeps = here.opened([file], [], place, plan=wish.plan(Plan()))
        raise typer.Exit(here.run_decided(sweeps, place, wish, False))
    if until is not None:
        raise SweepError(f"--until: {until}: expected decided; a time goes with `trainer sweep run`")
    if storage != os.environ.get("TRAINER_STORAGE") or runs != Path("runs"):
        raise SweepError("--runs and --storage go with --until decided; W&B's agents keep their runs in runs")
    for note in _on_wandb([read_sweep(file)]):
        typer.echo(f"note: {note}", err=True)
    raise typer.Exit(remote.start(file, agents=jobs, devices=chosen, warn=here.warn_of))


@app.command(context_settings=TAKES_ANY_KEY, epilog=examples("sweep submit"))
def submit(
    target: Target,
    words: Annotated[
        list[str] | None,
        Argument(metavar="[KEY=VALUE]...", help="A config key, at every point. `trainer config` lists all."),
    ] = None,
    slurm: Annotated[bool, Option("--slurm", help="To Slurm: an array job, by sbatch.")] = False,
    array: Annotated[
        int | None, Option(help="Tasks, each on its own device. Default: 8, or a task a point.", metavar="N", min=1)
    ] = None,
    nodes: Annotated[
        int | None,
        Option(help="Nodes that one job joins into a Ray cluster, in place of an array.", metavar="N", min=1),
    ] = None,
    per_device: PerDeviceFlag = None,
    gres: Annotated[str | None, Option(help="What each task or node needs, such as gpu:1.", metavar="LIST")] = None,
    cpus: Annotated[int, Option(help="Processors of each task or node, which its runs share.", metavar="N", min=1)] = 4,
    time: Annotated[str, Option(help="Most time of each task, or of the cluster.", metavar="TIME")] = "4:00:00",
    partition: Annotated[str | None, Option(help="Slurm's partition.", metavar="NAME")] = None,
    sbatch: Annotated[
        list[str] | None, Option(help="Further option of sbatch. Give it again for each one.", metavar="OPTION")
    ] = None,
    show: Annotated[bool, Option("--print", help="Print the script and submit nothing.")] = False,
    runs: RunsFlag = Path("runs"),
    storage: Annotated[
        str | None, Option(help="As with `run`. One with a password goes into TRAINER_STORAGE.", metavar="URL")
    ] = None,
) -> None:
    """Submit a sweep to a cluster. Its tasks take points until none is left or their time is over."""
    from trainer.cli.sweep_submit import Tasks, command_of, patient_agent_of
    from trainer.sweep import slurm as cluster

    if not slurm:
        raise SweepError("sweep submit: to what? Give --slurm")
    if _REMOTE.fullmatch(target):
        if words or storage or nodes or (per_device or 1) > 1 or runs != Path("runs"):
            raise SweepError("KEY=VALUE, --nodes, --per-device, --runs and --storage go with a sweep file")
        from trainer.wandb_api.sweeps import read_place

        place = read_place(target)
        name, command, count = place.id, patient_agent_of(str(place)), array or 8
    else:
        file = sweep_path(target)
        name = file.stem
        command, count = command_of(file, words or [], Tasks(array, nodes, per_device or 1), runs, storage)
    job = cluster.Job(name, count, command, nodes is not None, gres, cpus, time, partition, sbatch or [])
    script = job.script(Path.cwd(), cluster.binaries())
    typer.echo(script if show else cluster.submit(script), nl=not show)


@app.command(epilog=examples("sweep status"))
def status(
    target: Target,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    have: HaveFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which points of a sweep are done, missing or failed."""
    if _REMOTE.fullmatch(target):
        if have:
            raise SweepError("--have goes with a sweep file")
        from trainer.wandb_api import sweeps as remote

        _, progress = remote.progress_of(target)
    else:
        from trainer.sweep import local

        progress = local.progress_here(sweep_path(target), runs=runs, storage=storage, have=have or ())
    here.print_progress(progress, as_json)


@app.command(epilog=examples("sweep rerun"))
def rerun(
    target: Target,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    jobs: JobsFlag = None,
    devices: DevicesFlag = "auto",
    per_device: PerDeviceFlag = None,
    as_json: JsonFlag = False,
) -> int:
    """Run here the points that are missing or have failed.

    The runs of a W&B sweep go into that sweep.
    """
    from trainer.sweep.gpus import devices_of

    if _REMOTE.fullmatch(target):
        if jobs is not None or per_device is not None or as_json:
            raise SweepError(
                "--jobs, --per-device and --json go with a sweep file. A W&B sweep runs one point on each device"
            )
        from trainer.wandb_api import sweeps as remote

        raise typer.Exit(remote.rerun(target, runs=runs, devices=devices_of(devices)))
    from trainer.sweep import local

    file, chosen = sweep_path(target), devices_of(devices)
    place = here.Place(runs, storage, chosen, here.jobs_of(chosen, jobs, per_device))
    overrides = local.overrides_of(file, runs=runs, storage=storage)
    return here.run_each(here.opened([file], overrides, place), place, True, as_json)


@app.command("list", epilog=examples("sweep list"))
def list_sweeps(
    project: Annotated[str | None, Argument(metavar="[ENTITY/PROJECT]", help="List W&B's sweeps of a project.")] = None,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    catalogue: Annotated[bool, Option("--catalogue", help="List the sweeps that come with the trainer.")] = False,
) -> None:
    """List sweeps: begun here, on W&B, or of the catalogue."""
    if catalogue:
        from trainer.sweep.catalogue import questions

        if project is not None:
            raise SweepError(f"--catalogue: lists what comes with the trainer; leave {project} out")
        width = max(map(len, found := questions()))
        for name, question in found.items():
            typer.echo(f"{name:<{width}}  {question}")
        return
    if project is not None:
        from trainer.wandb_api import sweeps as remote

        for line in remote.list_sweeps(project):
            typer.echo(line)
        return
    from trainer.sweep import local

    if not (here := local.sweeps_here(runs)):
        typer.echo(f"{runs}: no sweep is in it; `trainer sweep list --catalogue` lists those to begin with", err=True)
    for path in here:
        try:
            progress = local.progress_here(path, runs=runs, storage=storage)
            said = f"{progress.count('finished', 'stopped')} of {progress.total} points are done"
        except UserError as error:  # one that cannot be read any more hides no other
            said = error.problems[0]
        typer.echo(f"{path.parent}  {said}")


@app.command(epilog=examples("sweep copy"))
def copy(
    name: Annotated[str, Argument(metavar="NAME", help="A name of `trainer sweep list --catalogue`.")],
    to: Annotated[Path | None, Argument(metavar="[FILE]", help="Default: NAME.yaml, here.")] = None,
) -> None:
    """Copy a sweep that comes with the trainer, to change it."""
    from trainer.sweep.catalogue import copy_sweep

    typer.echo(str(copy_sweep(name, to)))


def _size(checked: "Checked") -> str:
    sweep = checked.sweep
    if sweep.seeds_per_point > 1:
        return f"{sweep.file.method}, at most {sweep.cap} runs, {sweep.seeds_per_point} seeds of a good point"
    return f"{len(checked.entries)} points" if checked.entries else f"{sweep.file.method}, {sweep.cap} points"


def _as_json(checked: "Checked") -> dict[str, object]:
    points = [{"values": dict(e.point.values), "config": e.config} for e in checked.entries]
    return {"file": str(checked.sweep.path), "warnings": list(checked.warnings), "points": points}
