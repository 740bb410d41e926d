"""`trainer evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from trainer.cli.options import DataRootFlag, DeviceNowFlag, JsonFlag, RunsFlag, loading_changes, run_folder


def evaluate(
    run: Annotated[Path, Argument(metavar="RUN_OR_CHECKPOINT", help="A run's folder or name, or a checkpoint file.")],
    tta: Annotated[str | None, Option(help="none, hflip or hflip_translate. Default: as in training.")] = None,
    data_root: DataRootFlag = None,
    device: DeviceNowFlag = None,
    runs: RunsFlag = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Measure a trained network on its test set."""
    path = run if run.is_file() else run_folder(run, runs)
    from trainer.training.trained import evaluate_trained

    measured = evaluate_trained(path, loading_changes(data_root, device, **{"train.tta": tta}))
    if as_json:
        return typer.echo(json.dumps(measured))
    for key, value in measured.items():
        typer.echo(f"{key:<22} {value:.2%}" if "accuracy" in key else f"{key:<22} {value:.4f}")
    return None
