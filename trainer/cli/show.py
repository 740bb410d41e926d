"""`trainer models`, `recipes`, `config` and `--version`: what there is, and what a run would be."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from typer import Argument, Option

from trainer.cli import options
from trainer.cli.examples import examples

CONFIG_SETTINGS: dict[str, Any] = {"context_settings": options.TAKES_ANY_KEY, "epilog": examples("config")}


def list_models(
    name: Annotated[
        str | None, Argument(help="Show this network's layers and arguments.", autocompletion=options.complete_model)
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """List the networks with their sizes, or the layers of one."""
    from trainer.own.quiet import says_nothing
    from trainer.training.network_tables import arguments, as_text, layers, networks

    with says_nothing():
        rows = networks() if name is None else layers(name)
        known = [arguments(name)] if name else []
    if as_json:
        return options.print_json([asdict(row) for row in rows])
    return typer.echo(as_text(*known, rows))


def list_recipes(
    name: Annotated[str | None, Argument(help="Print this recipe.", autocompletion=options.complete_recipe)] = None,
) -> None:
    """List the recipes, or print one."""
    from trainer.config.recipes import recipe_names, recipe_text

    if name is not None:
        return typer.echo(recipe_text(name), nl=False)
    longest = max(map(len, recipe_names()))
    for each in recipe_names():
        typer.echo(f"{each:<{longest}} {recipe_text(each).splitlines()[0].removeprefix('# ')}")
    return None


def show_config(
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
    schema: Annotated[bool, Option("--schema", help="Print the JSON schema of all keys.")] = False,
) -> None:
    """Print the resolved config and where each value is from."""
    if schema:
        from trainer.config import RunConfig

        return typer.echo(json.dumps(RunConfig.model_json_schema(), indent=2))
    from trainer.config.show import with_origins

    given = options.overrides_of(overrides, model, epochs, lr, batch_size, seed, data, device, offline=offline)
    return typer.echo(with_origins(options.load(given, recipe, file)), nl=False)


def version(asked: bool) -> None:
    """Print the version and end, if it is asked for."""
    if asked:
        from trainer import __version__

        typer.echo(__version__)
        raise typer.Exit
