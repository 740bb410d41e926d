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
        Argument(metavar="RUN...", help="Runs' folders or names, or checkpoint files; several side by side."),
    ],
    out: Annotated[
        Path | None,
        Option(help="Directory of the pictures. Default: RUN/inspect.", metavar="DIR"),
    ] = None,
    images: Annotated[int, Option(help="Mistakes on the contact sheet, the surest first.", metavar="N", min=1)] = 24,
    picture: Annotated[
        str | None, Option(help="A test image by its number, or a class for its first.", metavar="INDEX|CLASS")
    ] = None,
    layers: Annotated[
        str | None, Option(help="Whose maps to show, such as features.stem,features.stage1.", metavar="A,B")
    ] = None,
    data_root: DataRootFlag = None,
    device: DeviceNowFlag = None,
    to_wandb: Annotated[bool, Option("--wandb", help="Send pictures and numbers to the run's page in W&B.")] = False,
    runs: RunsFlag = Path("runs"),
) -> None:
    """Draw what trained networks see: confusions, calibration, mistakes, filters, feature maps, Grad-CAM, layers."""
    from trainer.inspect.inspection import inspections, write_side_by_side
    from trainer.inspect.subject import load_subject

    changes = loading_changes(data_root, device)
    subjects = [load_subject(run_folder(run, runs), changes) for run in runs_given]
    looks = inspections(
        subjects, out=out, images=images, picture=picture, layers=[each for each in (layers or "").split(",") if each]
    )
    for look in looks:
        numbers = look.write()
        _tell(look, numbers)
        if to_wandb:
            from trainer.wandb_api.pictures import send

            if hint := send(look, numbers):
                typer.echo(f"send it to W&B: {hint}", err=True)
    if len(looks) > 1:
        for path in write_side_by_side(looks, out or looks[0].folder):
            typer.echo(path)


def _tell(look: "Inspection", numbers: dict[str, Any]) -> None:
    """The main numbers and every file on stdout, what was not to be had on stderr."""
    error = numbers["calibration"]["expected_calibration_error"]
    weakest = min((each for each in numbers["classes"] if each["recall"] is not None), key=lambda each: each["recall"])
    typer.echo(f"{look.subject.name}: {look.subject.network}")
    typer.echo(f"  {'accuracy':<28} {numbers['accuracy']:.2%}")
    typer.echo(f"  {'expected calibration error':<28} {'-' if error is None else f'{error:.2%}'}")
    typer.echo(f"  {'least recalled class':<28} {weakest['name']}, {weakest['recall']:.2%}")
    typer.echo(f"  {'picture ' + str(look.picture):<28} {look.verdict}")
    for note in look.notes:
        typer.echo(f"note: {look.subject.name}: {note}", err=True)
    for path in look.written:
        typer.echo(path)
