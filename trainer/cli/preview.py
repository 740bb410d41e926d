"""`trainer preview data|schedule|panel`: pictures of images, a learning rate or a panel."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from trainer.cli.examples import examples
from trainer.cli.options import (
    TAKES_ANY_KEY,
    DataFlag,
    EpochsFlag,
    FileFlag,
    LrFlag,
    ModelFlag,
    Overrides,
    RecipeFlag,
    complete_panel,
    load,
    overrides_of,
)
from trainer.errors import ConfigError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Draw images, a learning rate or a panel.")


@app.command("data", context_settings=TAKES_ANY_KEY, epilog=examples("preview data"))
def preview_data(
    overrides: Overrides = None,
    data: DataFlag = None,
    out: Annotated[Path, Option(help="The PNG to write.", metavar="FILE")] = Path("preview.png"),
) -> None:
    """Draw some images of each class, one class per row.

    With augment keys, each row shows one image, augmented.
    """
    loaded = load(overrides_of(overrides, data))
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out: {out}: a sheet of images is written as .png")
    from trainer.data.drawn import channels_note
    from trainer.data.preview import write_preview
    from trainer.data.sources import load_image_set

    config = loaded.config
    asked = any(key.startswith("augment.") and origin == "command line" for key, origin in loaded.origins.items())
    image_set = load_image_set(config.data, seed=config.seed)
    write_preview(image_set, out, config.augment if asked else None, seed=config.seed)
    if note := channels_note(image_set.in_channels):
        typer.echo(f"note: {note}", err=True)
    typer.echo(out)


@app.command("schedule", context_settings=TAKES_ANY_KEY, epilog=examples("preview schedule"))
def preview_schedule(
    overrides: Overrides = None,
    model: ModelFlag = None,
    epochs: EpochsFlag = None,
    lr: LrFlag = None,
    recipe: RecipeFlag = None,
    file: FileFlag = None,
    out: Annotated[Path, Option(help="The PNG, SVG or HTML to write.", metavar="FILE")] = Path("schedule.png"),
) -> None:
    """Draw the learning rate over a run."""
    config = load(overrides_of(overrides, model, epochs, lr), recipe, file).config
    from trainer.training.dry_run import steps_of
    from trainer.training.schedule_chart import draw_schedule

    draw_schedule(config, out, steps=steps_of(config))
    typer.echo(out)


@app.command("panel", epilog=examples("preview panel"))
def preview_panel(
    name: Annotated[
        str, Argument(metavar="NAME", help="A panel that `trainer panels list` shows.", autocompletion=complete_panel)
    ],
    folders: Annotated[
        list[Path] | None, Argument(metavar="RUN_OR_SWEEP_FOLDER", help="Runs to draw. Default: example data.")
    ] = None,
    out: Annotated[
        Path | None, Option(help="The PNG, SVG or HTML to write. Default: NAME.png.", metavar="FILE")
    ] = None,
    theme: Annotated[str, Option(help="light or dark.")] = "light",
) -> None:
    """Draw a panel from run folders, without a network."""
    from trainer.panels.preview import preview_panel as draw

    path = out or Path(f"{name}.png")
    draw(name, folders or [], path, theme=theme)
    typer.echo(path)
