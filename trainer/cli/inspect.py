"""`trainer inspect`. torch is imported inside the command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from trainer.cli.options import DataRootFlag, DeviceNowFlag, RunsFlag, loading_changes, run_folder

if TYPE_CHECKING:
    from trainer.inspect.inspection import Inspection


def inspect(
    runs_given: Annotated[
        list[Path],
        Argument(metavar="RUN...", help="Run folders, names of runs, or checkpoint files. Several: side by side."),
    ],
    out: Annotated[
        Path | None,
        Option(help="Directory of the pictures. Default: RUN/inspect.", metavar="DIR"),
    ] = None,
    images: Annotated[int, Option(help="Mistakes on the contact sheet, surest first.", metavar="N", min=1)] = 24,
    picture: Annotated[
        str | None,
        Option(
            help="Test image: its number, or a class for its first image. A class that is called by a number: class:7."
            " Default: the first cat, or 0.",
            metavar="INDEX|CLASS",
        ),
    ] = None,
    layers: Annotated[
        str | None, Option(help="Layers whose maps to draw, such as features.stem,features.stage1.", metavar="A,B")
    ] = None,
    data_root: DataRootFlag = None,
    device: DeviceNowFlag = None,
    to_wandb: Annotated[bool, Option("--wandb", help="Send pictures and numbers to the run's page in W&B.")] = False,
    runs: RunsFlag = Path("runs"),
) -> None:
    """Draw what trained networks see, and their mistakes.

    Writes confusions, calibration, mistakes, filters, feature maps, Grad-CAM and statistics of layers.
    """
    folders, changes = [run_folder(run, runs) for run in runs_given], loading_changes(data_root, device)
    from trainer.inspect.inspection import inspections, write_side_by_side
    from trainer.inspect.network import load_network
    from trainer.own.quiet import says_nothing

    asked = [name for name in (layers or "").split(",") if name]
    with says_nothing():
        networks = [load_network(folder, changes) for folder in folders]
        made = inspections(networks, out=out, images=images, picture=picture, layers=asked)
    for inspection in made:
        with says_nothing():
            numbers = inspection.write()
        _print(inspection, numbers)
        if to_wandb:
            from trainer.wandb_api.pictures import send

            if hint := send(inspection, numbers):
                typer.echo(f"send it to W&B: {hint}", err=True)
    if len(made) > 1:
        with says_nothing():
            written = write_side_by_side(made, out or made[0].folder)
        for path in written:
            typer.echo(path)


def _print(inspection: "Inspection", numbers: dict[str, Any]) -> None:
    """Print the main numbers and every file on stdout, and on stderr what could not be drawn."""
    from trainer.data.drawn import one_line

    network, error = inspection.network, numbers["calibration"]["expected_calibration_error"]
    recalls = {each["name"]: each["recall"] for each in numbers["classes"] if each["recall"] is not None}
    weakest = min(recalls, key=lambda name: recalls[name])
    typer.echo(f"{network.run}: {network.name}")
    typer.echo(f"  {'accuracy':<28} {numbers['accuracy']:.2%}")
    typer.echo(f"  {'expected calibration error':<28} {'-' if error is None else f'{error:.2%}'}")
    typer.echo(f"  {'lowest recall':<28} {one_line(weakest)}, {recalls[weakest]:.2%}")
    typer.echo(f"  {'picture ' + str(inspection.picture):<28} {inspection.verdict}")
    for note in inspection.notes:
        typer.echo(f"note: {network.run}: {note}", err=True)
    for path in inspection.written:
        typer.echo(path)
