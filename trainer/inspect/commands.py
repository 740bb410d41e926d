"""`trainer inspect` and `trainer compare`. torch is imported inside the commands."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from trainer.errors import ConfigError

if TYPE_CHECKING:
    from trainer.inspect.inspection import Inspection

DataRootFlag = Annotated[Path | None, Option(help="Where the data lies now.", metavar="DIR")]
DeviceFlag = Annotated[str | None, Option(help="Where to compute; as trained where not given.", metavar="NAME")]
RunsFlag = Annotated[Path, Option(help="Where run folders lie.", metavar="DIR")]


def inspect(
    runs_given: Annotated[
        list[Path],
        Argument(metavar="RUN...", help="Runs' folders or names, or checkpoint files; several side by side."),
    ],
    out: Annotated[
        Path | None, Option(help="Where pictures go; RUN/inspect where not given, for several DIR/RUN.", metavar="DIR")
    ] = None,
    images: Annotated[int, Option(help="Mistakes on the contact sheet, the surest first.", metavar="N", min=1)] = 24,
    picture: Annotated[
        str | None, Option(help="A test image by its number, or a class for its first.", metavar="INDEX|CLASS")
    ] = None,
    layers: Annotated[
        str | None, Option(help="Whose maps to show, such as features.stem,features.stage1.", metavar="A,B")
    ] = None,
    data_root: DataRootFlag = None,
    device: DeviceFlag = None,
    to_wandb: Annotated[bool, Option("--wandb", help="Send pictures and numbers to the run's page in W&B.")] = False,
    runs: RunsFlag = Path("runs"),
) -> None:
    """Draw what trained networks see: confusions, calibration, mistakes, filters, feature maps, Grad-CAM, layers."""
    from trainer.inspect.inspection import inspections, write_side_by_side
    from trainer.inspect.subject import load_subject

    changes = _changes(data_root, device)
    subjects = [load_subject(_found(run, runs), changes) for run in runs_given]
    looks = inspections(
        subjects, out=out, images=images, picture=picture, layers=[each for each in (layers or "").split(",") if each]
    )
    for look in looks:
        numbers = look.write()
        _tell(look, numbers)
        if to_wandb:
            from trainer.inspect.send import send

            if hint := send(look, numbers):
                typer.echo(f"send it to W&B: {hint}", err=True)
    if len(looks) > 1:
        for path in write_side_by_side(looks, out or looks[0].folder):
            typer.echo(path)


def compare(
    runs_given: Annotated[list[Path], Argument(metavar="RUN RUN...", help="Two or more runs' folders or names.")],
    out: Annotated[Path | None, Option(help="Write compare.json and learning curves there.", metavar="DIR")] = None,
    data_root: DataRootFlag = None,
    device: DeviceFlag = None,
    runs: RunsFlag = Path("runs"),
    as_json: Annotated[bool, Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Show in what runs differ: config, results, curves, and whether the difference is more than noise."""
    from trainer.files import disk_errors, write_whole
    from trainer.inspect.comparison import as_text, draw_curves
    from trainer.inspect.comparison import compare as find

    folders = [_found(run, runs) for run in runs_given]
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigError("compare: needs two runs or more, each once")
    found = find(folders, _changes(data_root, device))
    typer.echo(json.dumps(found) if as_json else as_text(found))
    if out is None:
        return
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "compare.json", (json.dumps(found, indent=2) + "\n").encode())
    for path in [out / "compare.json", *draw_curves(folders, out)]:
        typer.echo(path, err=as_json)


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


def _changes(data_root: Path | None, device: str | None) -> dict[str, object]:
    changes = {"data.root": str(data_root) if data_root else None, "train.device": device}
    return {key: value for key, value in changes.items() if value is not None}


def _found(run: Path, runs: Path) -> Path:
    return run if run.exists() or not (runs / run).exists() else runs / run
