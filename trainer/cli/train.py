"""`trainer train`: one network into its run folder, from the start or resumed."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from trainer.cli import options
from trainer.cli.examples import examples
from trainer.cli.slow_start import uncollected
from trainer.errors import ConfigError

if TYPE_CHECKING:
    from trainer.config import RunConfig
    from trainer.training.run import RunResult

SETTINGS: dict[str, Any] = {
    "context_settings": options.TAKES_ANY_KEY,
    "epilog": examples("train"),
}

_EXIT_DIVERGED = 3
_SHOWN = ("/accuracy", "/accuracy_plain")  # of each second test set
_PROTOCOLS = {
    "last": "of the last epoch",
    "best_val": "of the epoch that validated best",
    "best_test": "of the best epoch: a choice made on the test set",
}


def train(
    overrides: options.Overrides = None,
    model: options.ModelFlag = None,
    epochs: options.EpochsFlag = None,
    lr: options.LrFlag = None,
    batch_size: options.BatchSizeFlag = None,
    seed: options.SeedFlag = None,
    data: options.DataFlag = None,
    device: options.DeviceFlag = None,
    offline: options.OfflineFlag = False,
    recipe: options.RecipeFlag = None,
    file: options.FileFlag = None,
    runs: options.RunsFlag = Path("runs"),
    name: Annotated[str | None, Option(help="Name of the run folder.")] = None,
    resume: Annotated[
        Path | None,
        Option(
            help="Resume this run: its folder, or wandb:ENTITY/PROJECT/RUN from the checkpoint that it keeps at W&B.",
            metavar="RUN",
        ),
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Show config, size and memory; train nothing.")] = False,
    as_json: options.JsonFlag = False,
) -> int | None:
    """Train one network and write its run folder.

    The last line on stdout is that folder.
    """
    from trainer.own.quiet import says_nothing
    from trainer.own.source import remember
    from trainer.signals import LEASH, end_when_closed, end_with_parent
    from trainer.training.launched import launched
    from trainer.wandb_api.agent import assignment, begun

    if os.environ.pop(LEASH, None):
        end_when_closed(0)
    if here := launched():
        end_with_parent()
        if here.rank:
            return 0 if dry_run else _follow()
    measured, batch_size = batch_size == options.AUTO, None if batch_size == options.AUTO else batch_size
    given = options.overrides_of(overrides, model, epochs, lr, batch_size, seed, data, device, offline=offline)
    if resume is not None and (recipe is not None or name is not None or dry_run):
        raise ConfigError("--resume: goes with overrides and --config, not with --recipe, --name or --dry-run")
    if measured and (size := [word for word in given if word.lstrip("-").startswith("train.batch_size=")]):
        raise ConfigError(f"--batch-size: auto, and {size[0]}; give one of them")
    if resume is not None and measured:
        raise ConfigError("--batch-size: auto: a resumed run keeps its batch size; leave --batch-size out")
    remember(runs)  # of a sweep, which keeps the texts of own parts beside its runs
    if resume is None and (assigned := assignment()):
        given = assigned.overrides(given)
        if name is None and assigned.name is not None:
            name = assigned.name
            if not dry_run:
                if options.load(given, recipe, file).config.sink.wandb.checkpoint_seconds is not None:
                    _bring_what_another_machine_has_done(runs, name)
                resume = begun(runs / name)
    if resume is not None:
        from trainer.config.load import read_settings

        settings = read_settings(given, file)
        if (place := str(resume)).startswith("wandb:"):
            from trainer.wandb_api.checkpoint import fetch_checkpoint

            resume = fetch_checkpoint(place.removeprefix("wandb:"), runs)
        folder = options.run_folder(resume, runs, needs="config.yaml")
        with uncollected():
            from trainer.training.run import resume_run
        with says_nothing():
            result = resume_run(folder, settings)
    else:
        if measured:
            given = [*given, _largest_batch(given, recipe, file)]
        config = options.load(given, recipe, file).config
        if dry_run:
            return _dry_run(config, as_json)
        from trainer.runs.folder import refuse_bad_name
        from trainer.training.precision import refuse_float16

        refuse_bad_name(runs, name)  # these two before torch is imported
        refuse_float16(config.train)
        with uncollected():
            from trainer.training.run import start_run
        with says_nothing():
            result = start_run(config, runs=runs, name=name)
    _report(result, as_json)
    # A run that W&B has stopped exits with 0: its agent counts any other code as a failure, and ends itself after three
    # of them in its first minute.
    if result.signal is not None and result.status == "interrupted":
        raise typer.Exit(128 + result.signal)  # 130 for Ctrl-C, 143 for SIGTERM, as shells have it
    if result.status == "diverged":
        raise typer.Exit(_EXIT_DIVERGED)
    return 0


def _bring_what_another_machine_has_done(runs: Path, name: str) -> None:
    """Fetch the checkpoint of a run that an agent hands out again. Without one it goes on from what is here."""
    from trainer.errors import UserError
    from trainer.wandb_api.checkpoint import fetch_assigned

    try:
        fetch_assigned(runs, name)
    except UserError as error:
        typer.echo(f"wandb: {error}; going on from what is here", err=True)


def _follow() -> int:
    """Train as rank 0 says, which reads what was typed."""
    from trainer.config.train import Train
    from trainer.training.process_group import ranks_of
    from trainer.training.run import follow_run

    follow_run(ranks_of(Train()))
    return 0


def _report(result: "RunResult", as_json: bool) -> None:
    """Print results on stdout, the run folder last, and what to do next on stderr."""
    from trainer.config.overrides import as_typed

    summary = result.summary
    if result.message:
        typer.echo(f"{result.status}: {result.message}", err=True)
    if result.status == "diverged":
        kept = result.folder / "checkpoint.pt"
        typer.echo(f"last good checkpoint: {kept if kept.exists() else 'none yet'}", err=True)
    if result.status in ("interrupted", "stopped"):
        typer.echo(f"resume with: {as_typed('trainer', 'train', '--resume', result.folder)}", err=True)
    if as_json:
        return typer.echo(json.dumps({"run_dir": str(result.folder), "status": result.status, **summary}))
    shown = {key: summary[key] for key in ("test/accuracy", "test/accuracy_plain", "train/accuracy") if key in summary}
    shown |= {
        key: summary[key] for key in summary if key.startswith("also/") and key.count("/") == 2 and key.endswith(_SHOWN)
    }
    if (headline := summary.get("headline/accuracy")) is not None:
        of = f"of the restored epoch {restored:g}" if (restored := summary.get("restored_epoch")) else None
        shown |= {f"headline, {of or _PROTOCOLS[summary['headline/protocol']]}": headline}
    for key, value in shown.items():
        typer.echo(f"{key:<20} {value:.2%}")
    if result.status == "finished":
        typer.echo(f"measure it again:    {as_typed('trainer', 'evaluate', result.folder)}", err=True)
        if result.sync_hint:
            typer.echo(f"send it to W&B:      {result.sync_hint}", err=True)
    return typer.echo(result.folder)


def _largest_batch(given: list[str], recipe: str | None, file: Path | None) -> str:
    """Return the override `train.batch_size=N` of the largest batch that fits by its measured memory."""
    from trainer.sweep.memory import largest_batch, measured

    def say(line: str) -> None:
        typer.echo(line, err=True)

    config = options.load(given, recipe, file).config
    found = largest_batch(config, lambda images: measured((given, recipe, file), images), say)
    say(f"{found.line()}. The learning rate is as it was")
    return f"train.batch_size={found.images}"


def _dry_run(config: "RunConfig", as_json: bool) -> None:
    from trainer.config.doubts import doubts
    from trainer.config.show import to_yaml
    from trainer.own.quiet import says_nothing
    from trainer.training.dry_run import plan_run

    with says_nothing():
        plan = plan_run(config)
    for warning in doubts(config.model_dump()):
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        return typer.echo(json.dumps({"config": config.model_dump(mode="json"), **plan}))
    typer.echo(to_yaml(config), nl=False)
    for key, value in plan.items():
        shown = f"{value / 2**20:,.0f} MiB" if key.startswith("memory/") else f"{value:,}"
        typer.echo(f"# {key:<28} {shown}")
    return None
