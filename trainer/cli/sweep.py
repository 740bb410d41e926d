"""`trainer sweep`: check, run, start, status, rerun, list. Optuna, wandb and torch are imported inside the commands."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from trainer.cli.options import TAKES_ANY_KEY, JsonFlag, Overrides, RunsFlag
from trainer.errors import SweepError, UserError

if TYPE_CHECKING:
    from trainer.sweep.points import Checked
    from trainer.sweep.status import Progress

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run sweeps, on W&B or with no server.")

_REMOTE = re.compile(r"https?://.*|[^/]+/[^/]+/[^/.]+")  # a page of W&B's, or ENTITY/PROJECT/SWEEP

File = Annotated[Path, Argument(metavar="FILE", help="A sweep file, such as sweeps/lr_scheduler.yaml.")]
Target = Annotated[
    str, Argument(metavar="FILE_OR_ID", help="A sweep file, or a W&B sweep: ENTITY/PROJECT/ID or its page.")
]
StorageFlag = Annotated[
    str | None,
    Option(
        help="Database of the sweep, which machines can share, such as postgresql://USER@HOST/NAME. Default: a file"
        " in the sweep's folder.",
        metavar="URL",
        envvar="TRAINER_STORAGE",
    ),
]
JobsFlag = Annotated[int | None, Option(help="Points at once. Default: one on each device.", metavar="N", min=1)]
DevicesFlag = Annotated[str, Option(help="Devices to train on, such as cuda:0,cuda:1 or cpu.", metavar="LIST")]
PerDeviceFlag = Annotated[int, Option(help="Points at once on each device.", metavar="K", min=1)]
HaveFlag = Annotated[
    list[Path] | None,
    Option(
        "--have",
        help="Archive whose runs count as done: those of the same config and seed. Give it again for each further one.",
        metavar="NAME.jsonl.gz",
    ),
]
RetryFlag = Annotated[bool, Option("--retry", help="Run points that crashed or diverged again.")]


@app.command()
def check(
    files: Annotated[list[Path], Argument(metavar="FILE...", help="Sweep files.")], as_json: JsonFlag = False
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
        _warn(checked)
        if not as_json:
            typer.echo(f"{checked.sweep.path}: {_size(checked)}")
    if as_json:
        typer.echo(json.dumps([_as_json(checked) for checked in checks]))
    if problems:
        raise SweepError(*problems)


_RUN_EXAMPLES = """Examples:

\b
  trainer sweep run sweeps/smoke.yaml
  trainer sweep run sweeps/lr_scheduler.yaml train.epochs=1
  trainer sweep run sweeps/loss.yaml --devices cuda:0,cuda:1 --per-device 2
  trainer sweep run sweeps/loss.yaml --have docs/results/runs/loss.jsonl.gz"""


@app.command(context_settings=TAKES_ANY_KEY, epilog=_RUN_EXAMPLES)
def run(
    file: File,
    overrides: Overrides = None,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    jobs: JobsFlag = None,
    devices: DevicesFlag = "auto",
    per_device: PerDeviceFlag = 1,
    retry: RetryFlag = False,
    have: HaveFlag = None,
    as_json: JsonFlag = False,
) -> int:
    """Run all points of a sweep here, without a server.

    Finished points are not run again. An override is the same at every point.
    """
    return _run(file, overrides or [], runs, storage, jobs, devices, per_device, retry, as_json, have or ())


@app.command()
def start(
    file: File,
    agents: Annotated[int | None, Option(help="Agents at once. Default: one on each device.", min=1)] = None,
    devices: DevicesFlag = "auto",
) -> None:
    """Register a sweep with W&B and start agents for it here."""
    from trainer.wandb_api import sweeps as remote

    chosen = devices.split(",")
    raise typer.Exit(remote.start(file, agents=agents or len(chosen), devices=chosen, warn=_warn))


@app.command()
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

        progress = local.progress_here(Path(target), runs=runs, storage=storage, have=have or ())
    _print(progress, as_json)


@app.command()
def rerun(
    target: Target,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
    jobs: JobsFlag = None,
    devices: DevicesFlag = "auto",
    per_device: PerDeviceFlag = 1,
    as_json: JsonFlag = False,
) -> int:
    """Run here the points that are missing or have failed.

    The runs of a W&B sweep go into that sweep.
    """
    if _REMOTE.fullmatch(target):
        if jobs is not None or per_device != 1 or as_json:
            raise SweepError(
                "--jobs, --per-device and --json go with a sweep file. A W&B sweep runs one point on each device"
            )
        from trainer.wandb_api import sweeps as remote

        raise typer.Exit(remote.rerun(target, runs=runs, devices=devices.split(",")))
    from trainer.sweep import local

    overrides = local.overrides_of(Path(target), runs=runs, storage=storage)
    return _run(Path(target), overrides, runs, storage, jobs, devices, per_device, True, as_json)


@app.command("list")
def list_sweeps(
    project: Annotated[str | None, Argument(metavar="[ENTITY/PROJECT]", help="List W&B's sweeps of a project.")] = None,
    runs: RunsFlag = Path("runs"),
    storage: StorageFlag = None,
) -> None:
    """List the sweeps on this machine, or in a W&B project."""
    if project is not None:
        from trainer.wandb_api import sweeps as remote

        for line in remote.list_sweeps(project):
            typer.echo(line)
        return
    from trainer.sweep import local

    for path in local.sweeps_here(runs):
        try:
            progress = local.progress_here(path, runs=runs, storage=storage)
            said = f"{progress.count('finished', 'stopped')} of {progress.total} points are done"
        except UserError as error:  # one that cannot be read any more hides no other
            said = error.problems[0]
        typer.echo(f"{path.parent}  {said}")


def _run(
    file: Path,
    overrides: list[str],
    runs: Path,
    storage: str | None,
    jobs: int | None,
    devices: str,
    per_device: int,
    retry: bool,
    as_json: bool,
    have: Sequence[Path] = (),
) -> int:
    from trainer.sweep.live import SweepView
    from trainer.sweep.local import run_sweep

    chosen = devices.split(",")
    with SweepView(file.stem) as view:
        progress, signal = run_sweep(
            file,
            overrides,
            runs=runs,
            storage=storage,
            devices=chosen,
            jobs=jobs or len(chosen) * per_device,
            retry=retry,
            watch=view.show,
            have=have,
            warn=_warn,
        )
    _print(progress, as_json)
    failed = progress.count("crashed", "diverged")
    again = shlex.join(
        ["trainer", "sweep", "rerun", str(file), *(["--runs", str(runs)] if runs != Path("runs") else [])]
    )
    if failed and not signal:
        typer.echo(f"{failed} points failed; `{again}` runs them again", err=True)
    elif not progress.complete:
        typer.echo(f"continue with the same command, or `{again}`", err=True)
    if signal:
        return 128 + signal
    return int(progress.count("crashed", "diverged", "interrupted", "missing") > 0)


def _warn(checked: "Checked") -> None:
    for warning in checked.warnings:
        typer.echo(f"warning: {checked.sweep.path}: {warning}", err=True)


def _size(checked: "Checked") -> str:
    file = checked.sweep.file
    return f"{len(checked.entries)} points" if checked.entries else f"{file.method}, {file.run_cap} points"


def _as_json(checked: "Checked") -> dict[str, object]:
    points = [{"values": dict(e.point.values), "config": e.config} for e in checked.entries]
    return {"file": str(checked.sweep.path), "warnings": list(checked.warnings), "points": points}


def _print(progress: "Progress", as_json: bool) -> None:
    from trainer.sweep.status import as_text

    typer.echo(json.dumps(progress.as_json()) if as_json else as_text(progress))
