"""`trainer panels`: list, push. `trainer preview panel` draws one."""

from typing import Annotated

import typer
from typer import Argument, Option

from trainer.cli.examples import examples
from trainer.cli.options import complete_panel

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List charts, and register them with W&B.")


@app.command("list", epilog=examples("panels list"))
def list_panels() -> None:
    """List the panels with the columns of their tables."""
    from trainer.panels.registry import PANELS

    for panel in PANELS:
        typer.echo(f"{panel.name:<24} {panel.title}")
        for column, about in panel.columns.items():
            typer.echo(f"    {column:<20} {about.meaning}")


@app.command(epilog=examples("panels push"))
def push(
    entity: Annotated[str, Option(help="W&B user or team that will own the charts.", metavar="ENTITY")],
    names: Annotated[
        list[str] | None,
        Argument(metavar="NAME", help="Panels. Default: all.", autocompletion=complete_panel),
    ] = None,
) -> None:
    """Register panels with W&B.

    Runs use them with sink.wandb.panels=ENTITY.
    """
    from trainer.wandb_api.panels import push_panels

    for line in push_panels(entity, names or []):
        typer.echo(line)
