"""`trainer panels`: list, preview, push. Vega, wandb and numpy are imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Charts, the same in W&B and on a local page.")


def _complete_panel(incomplete: str) -> list[str]:
    from trainer.panels.registry import PANELS

    return [each.name for each in PANELS if each.name.startswith(incomplete)]


Name = Annotated[str, Argument(metavar="NAME", help="A panel, as `list` has it.", autocompletion=_complete_panel)]


@app.command("list")
def list_panels() -> None:
    """List the panels with the columns of their tables."""
    from trainer.panels.registry import PANELS

    for each in PANELS:
        typer.echo(f"{each.name:<24} {each.title}")
        for column, about in each.columns.items():
            typer.echo(f"    {column:<20} {about.meaning}")


@app.command()
def preview(
    name: Name,
    folders: Annotated[
        list[Path] | None, Argument(metavar="[RUN_OR_SWEEP_FOLDER]...", help="Runs to draw; none: example data.")
    ] = None,
    out: Annotated[
        Path | None, Option(help="The PNG, SVG or HTML to write; NAME.png where not given.", metavar="FILE")
    ] = None,
    theme: Annotated[str, Option(help="light or dark.")] = "light",
) -> None:
    """Draw a panel from run folders, with no network."""
    from trainer.gallery.preview import preview_panel

    path = out or Path(f"{name}.png")
    preview_panel(name, folders or [], path, theme=theme)
    typer.echo(path)


@app.command()
def push(
    entity: Annotated[str, Option(help="W&B user or team that the charts are to belong to.", metavar="ENTITY")],
    names: Annotated[
        list[str] | None,
        Argument(metavar="[NAME]...", help="Panels; all where none is named.", autocompletion=_complete_panel),
    ] = None,
) -> None:
    """Register panels with W&B; sink.wandb.panels=ENTITY makes runs use them."""
    from trainer.gallery.push import push_panels

    for line in push_panels(entity, names or []):
        typer.echo(line)
