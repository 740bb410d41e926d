"""The `trainer` command: thin. torch and wandb are imported inside the commands, so that `--help` answers at once."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer import Argument, Option

from trainer.errors import ConfigError, UserError
from trainer.gallery.commands import app as panels_app
from trainer.inspect.commands import compare, inspect
from trainer.landscape.commands import app as probe_app
from trainer.report.commands import report
from trainer.sweep.commands import app as sweep_app

if TYPE_CHECKING:
    from trainer.config import LoadedConfig, RunConfig
    from trainer.run import RunResult

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train CIFAR-sized image classifiers, one run or a whole ablation at a time.",
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at data sets.")
app.add_typer(data_app, name="data")
bench_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure on this machine.")
app.add_typer(bench_app, name="bench")
schedule_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at learning-rate schedules.")
app.add_typer(schedule_app, name="schedule")
app.add_typer(sweep_app, name="sweep")
app.add_typer(panels_app, name="panels")
app.add_typer(probe_app, name="probe")

_TAKES_ANY_KEY = {"allow_extra_args": True, "ignore_unknown_options": True}  # for --KEY=VALUE, as a W&B agent may write
_EXIT_DIVERGED = 3
_PROTOCOLS = {
    "last": "of the last epoch",
    "best_val": "of the epoch that validated best",
    "best_test": "of the best epoch: a choice made on the test set",
}
_UsageError = cast(
    "type[typer.BadParameter]", typer.BadParameter.__mro__[1]
)  # typer brings a click of its own, unnamed


def _complete_model(incomplete: str) -> list[str]:
    from models import model_names

    return [name for name in model_names() if name.startswith(incomplete)]


def _complete_recipe(incomplete: str) -> list[str]:
    from trainer.config.recipes import recipe_names

    return [name for name in [*recipe_names(), "none"] if name.startswith(incomplete)]


Words = Annotated[
    list[str] | None, Argument(metavar="[KEY=VALUE]...", help="Any config key, such as optimizer.lr=0.1.")
]


def _short(key: str, metavar: str, **more: Any) -> Any:
    """A flag whose value becomes the word `KEY=VALUE`."""
    return Option(help=f"Short for {key}={metavar}.", metavar=metavar, parser=lambda text: f"{key}={text}", **more)


ModelFlag = Annotated[str | None, _short("model.name", "NAME", autocompletion=_complete_model)]
EpochsFlag = Annotated[str | None, _short("train.epochs", "N")]
LrFlag = Annotated[str | None, _short("optimizer.lr", "RATE")]
BatchSizeFlag = Annotated[str | None, _short("train.batch_size", "N")]
SeedFlag = Annotated[str | None, _short("seed", "N")]
DataFlag = Annotated[str | None, _short("data.name", "NAME")]
DeviceFlag = Annotated[str | None, _short("train.device", "NAME")]
OfflineFlag = Annotated[bool, Option("--offline", help="Short for sink.wandb.mode=offline.")]
RecipeFlag = Annotated[
    str | None, Option(help="Start from this recipe; none: from the defaults.", autocompletion=_complete_recipe)
]
FileFlag = Annotated[Path | None, Option("--config", help="YAML file laid over the recipe.", metavar="FILE")]
RunsFlag = Annotated[Path, Option(help="Where run folders lie.", metavar="DIR")]
JsonFlag = Annotated[bool, Option("--json", help="Print one JSON object on stdout and nothing else.")]


@app.command(context_settings=_TAKES_ANY_KEY)
def train(
    words: Words = None,
    model: ModelFlag = None,
    epochs: EpochsFlag = None,
    lr: LrFlag = None,
    batch_size: BatchSizeFlag = None,
    seed: SeedFlag = None,
    data: DataFlag = None,
    device: DeviceFlag = None,
    offline: OfflineFlag = False,
    recipe: RecipeFlag = None,
    file: FileFlag = None,
    runs: RunsFlag = Path("runs"),
    name: Annotated[str | None, Option(help="Name of the run folder.")] = None,
    resume: Annotated[Path | None, Option(help="Go on with this run.", metavar="RUN")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Show config, size and memory; train nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train one network and write its run folder. The last line on stdout is that folder."""
    from trainer.agent import assignment, begun
    from trainer.signals import LEASH, end_when_closed

    if os.environ.pop(LEASH, None):
        end_when_closed(0)
    given = _words(words, offline, model, epochs, lr, batch_size, seed, data, device)
    if resume is not None and (recipe is not None or name is not None or dry_run):
        raise ConfigError("--resume: goes with settings and --config, not with --recipe, --name or --dry-run")
    if resume is None and (assigned := assignment()):
        given = assigned.words(given)
        if name is None and assigned.name is not None:
            name, resume = assigned.name, None if dry_run else begun(runs / assigned.name)
    if resume is not None:
        from trainer.config.load import read_settings
        from trainer.run import resume_run

        result = resume_run(_run_folder(resume, runs), read_settings(given, file))
    else:
        config = _load(given, recipe, file).config
        if dry_run:
            return _dry_run(config, as_json)
        from trainer.run import start_run

        result = start_run(config, runs=runs, name=name)
    _report(result, as_json)
    # A run that W&B has stopped exits with 0: its agent counts all above as failures, and ends itself after three of
    # them in its first minute.
    if result.signal is not None and result.status == "interrupted":
        raise typer.Exit(128 + result.signal)  # 130 for Ctrl-C, 143 for SIGTERM, as shells have it
    if result.status == "diverged":
        raise typer.Exit(_EXIT_DIVERGED)


@app.command()
def evaluate(
    run: Annotated[Path, Argument(metavar="RUN_OR_CHECKPOINT", help="A run's folder or name, or a checkpoint file.")],
    tta: Annotated[str | None, Option(help="none, hflip or hflip_translate; as trained where not given.")] = None,
    data_root: Annotated[Path | None, Option(help="Where the data lies now.", metavar="DIR")] = None,
    device: Annotated[str | None, Option(help="Where to compute; as trained where not given.", metavar="NAME")] = None,
    runs: RunsFlag = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Measure a trained network on its test set."""
    from trainer.trained import evaluate_trained

    path = run if run.is_file() else _run_folder(run, runs)
    found = evaluate_trained(path, tta=tta, data_root=data_root, device=device)
    if as_json:
        return typer.echo(json.dumps(found))
    for key, value in found.items():
        typer.echo(f"{key:<22} {value:.2%}" if "accuracy" in key else f"{key:<22} {value}")
    return None


app.command()(inspect)
app.command()(compare)
app.command()(report)


@app.command("models")
def list_models(
    name: Annotated[
        str | None, Argument(help="Show this network's layers and arguments.", autocompletion=_complete_model)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the networks with their sizes at 32x32, or show the layers of one."""
    from trainer.catalogue import arguments, as_text, layers, networks

    rows = networks() if name is None else layers(name)
    if as_json:
        return typer.echo(json.dumps([asdict(row) for row in rows]))
    return typer.echo(as_text(*([arguments(name)] if name else []), rows))


@app.command()
def recipes(
    name: Annotated[str | None, Argument(help="Print this recipe.", autocompletion=_complete_recipe)] = None,
) -> None:
    """List the recipes, or print one."""
    from trainer.config.recipes import recipe_names, recipe_text

    if name is not None:
        return typer.echo(recipe_text(name), nl=False)
    for each in recipe_names():
        typer.echo(f"{each:<16} {recipe_text(each).splitlines()[0].removeprefix('# ')}")
    return None


@app.command(context_settings=_TAKES_ANY_KEY)
def config(
    words: Words = None,
    model: ModelFlag = None,
    epochs: EpochsFlag = None,
    lr: LrFlag = None,
    batch_size: BatchSizeFlag = None,
    seed: SeedFlag = None,
    data: DataFlag = None,
    device: DeviceFlag = None,
    offline: OfflineFlag = False,
    recipe: RecipeFlag = None,
    file: FileFlag = None,
    schema: Annotated[bool, Option("--schema", help="Print the JSON schema of all keys.")] = False,
) -> None:
    """Print the resolved config as YAML, and where each value came from."""
    if schema:
        from trainer.config import RunConfig

        return typer.echo(json.dumps(RunConfig.model_json_schema(), indent=2))
    from trainer.config.show import with_origins

    given = _words(words, offline, model, epochs, lr, batch_size, seed, data, device)
    return typer.echo(with_origins(_load(given, recipe, file)), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    from trainer import __version__

    typer.echo(__version__)


@data_app.command(context_settings=_TAKES_ANY_KEY)
def preview(
    words: Words = None,
    data: DataFlag = None,
    out: Annotated[Path, Option(help="The PNG to write.", metavar="FILE")] = Path("preview.png"),
) -> None:
    """Write a contact sheet of a data set, a row a class; with augment keys, what they make of an image of each."""
    loaded = _load(_words(words, False, data), None, None)
    from trainer.data.preview import write_preview
    from trainer.data.sources import load_image_set

    config = loaded.config
    asked = any(key.startswith("augment.") and origin == "command line" for key, origin in loaded.origins.items())
    write_preview(
        load_image_set(config.data, seed=config.seed), out, config.augment if asked else None, seed=config.seed
    )
    typer.echo(out)


@bench_app.command("data", context_settings=_TAKES_ANY_KEY)
def bench_data(
    words: Words = None, data: DataFlag = None, device: DeviceFlag = None, as_json: JsonFlag = False
) -> None:
    """Images/s of the data pipeline against torchvision's transforms under a DataLoader of two workers, in turn."""
    config = _load(_words(words, False, data, device), None, None).config
    from trainer.bench import bench_data as measure
    from trainer.data.sources import load_image_set
    from trainer.device import choose_compute

    found = measure(load_image_set(config.data, seed=config.seed), choose_compute(config.train))
    if as_json:
        return typer.echo(json.dumps(found))
    for key, value in found.items():
        typer.echo(f"{key:<18} {value:,.1f}" + ("x" if key.endswith("ratio") else " images/s"))
    return None


@schedule_app.command("preview", context_settings=_TAKES_ANY_KEY)
def preview_schedule(
    words: Words = None,
    model: ModelFlag = None,
    epochs: EpochsFlag = None,
    lr: LrFlag = None,
    recipe: RecipeFlag = None,
    file: FileFlag = None,
    out: Annotated[Path, Option(help="The PNG, SVG or HTML to write.", metavar="FILE")] = Path("schedule.png"),
) -> None:
    """Draw the learning rate over a run."""
    config = _load(_words(words, False, model, epochs, lr), recipe, file).config
    from trainer.panels.schedule import draw_schedule
    from trainer.plan import steps_per_epoch

    draw_schedule(config, out, steps_per_epoch=steps_per_epoch(config))
    typer.echo(out)


def main() -> None:
    """Run the command line. A user's mistake is a line each on stderr and exit code 2; a bug keeps its traceback."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        code = 2
    except _UsageError as error:  # `trainer` alone asks for help
        typer.echo(f"error: {error.format_message()}" if sys.argv[1:] else error.format_message(), err=True)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _words(words: list[str] | None, offline: bool, *flags: str | None) -> list[str]:
    """What was typed, as `KEY=VALUE` words."""
    return [flag for flag in flags if flag] + (["sink.wandb.mode=offline"] if offline else []) + (words or [])


def _load(words: list[str], recipe: str | None, file: Path | None) -> "LoadedConfig":
    from trainer.checks import complete_parts
    from trainer.config import load_config

    return load_config(words, recipe=recipe, file=file, complete=complete_parts)


def _run_folder(run: Path, runs: Path) -> Path:
    return run if run.exists() or not (runs / run).exists() else runs / run


def _report(result: "RunResult", as_json: bool) -> None:
    """Results on stdout, the run folder last; what to do next on stderr."""
    summary = result.summary
    if result.message:
        typer.echo(f"{result.status}: {result.message}", err=True)
    if result.status == "diverged":
        kept = result.folder / "checkpoint.pt"
        typer.echo(f"last good checkpoint: {kept if kept.exists() else 'none yet'}", err=True)
    if result.status in ("interrupted", "stopped"):
        typer.echo(f"go on with: trainer train --resume {result.folder}", err=True)
    if as_json:
        return typer.echo(json.dumps({"run_dir": str(result.folder), "status": result.status, **summary}))
    shown = {key: summary[key] for key in ("test/accuracy", "test/accuracy_plain", "train/accuracy") if key in summary}
    if (headline := summary.get("headline/accuracy")) is not None:
        shown |= {f"headline, {_PROTOCOLS[summary['headline/protocol']]}": headline}
    for key, value in shown.items():
        typer.echo(f"{key:<20} {value:.2%}")
    if result.status == "finished":
        typer.echo(f"measure it again:    trainer evaluate {result.folder}", err=True)
        if result.sync_hint:
            typer.echo(f"send it to W&B:      {result.sync_hint}", err=True)
    return typer.echo(result.folder)


def _dry_run(config: "RunConfig", as_json: bool) -> None:
    from trainer.config.show import to_yaml
    from trainer.plan import plan_run

    plan = plan_run(config)
    if as_json:
        return typer.echo(json.dumps({"config": config.model_dump(mode="json"), **plan}))
    typer.echo(to_yaml(config), nl=False)
    for key, value in plan.items():
        shown = f"{value / 2**20:,.0f} MiB" if key.startswith("memory/") else f"{value:,}"
        typer.echo(f"# {key:<28} {shown}")
    return None


if __name__ == "__main__":
    main()
