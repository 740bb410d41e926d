"""`trainer probe`: what is measured of trained runs. torch and numpy are imported inside the commands."""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure trained runs.")


@app.command()
def bands(
    folders: Annotated[
        list[Path], Argument(metavar="RUN_OR_SWEEP_FOLDER...", help="Runs of several rates, or folders of such.")
    ],
    key: Annotated[str, Option(help="The metric whose lowest and highest over the rates make the band.")] = "runs/loss",
    from_step: Annotated[int, Option(help="First step that counts.", metavar="N", min=0)] = 0,
    gap: Annotated[int, Option(help="Take only the steps that this divides.", metavar="N", min=1)] = 1,
    out: Annotated[Path | None, Option(help="Write numbers and bands as JSON.", metavar="FILE.json")] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Bands over runs that differ in their learning rate: mean width, area, mean level, beta, by group over seeds."""
    from trainer.bands import loss_bands
    from trainer.files import write_whole
    from trainer.history import find_runs, read_history
    from trainer.landscape.band_table import as_text, band_table

    histories = [read_history(folder) for folder in find_runs(folders)]
    table = band_table(histories, key, from_step=from_step, gap=gap)
    if out is not None:
        rows = loss_bands(histories, key, from_step=from_step, gap=gap)
        write_whole(out, json.dumps(table | {"bands": rows}).encode())
    typer.echo(json.dumps(table) if as_json else as_text(table))
