"""`trainer probe`: what is measured of trained runs. torch and numpy are imported inside the commands."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure trained runs.")
