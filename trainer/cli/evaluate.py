"""`trainer evaluate`."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from trainer.cli.options import DataRootFlag, DeviceNowFlag, JsonFlag, RunsFlag, loading_changes, print_json, run_folder

_SHARES = ("accuracy", "accuracy_plain", "error")


def evaluate(
    run: Annotated[Path, Argument(metavar="RUN_OR_CHECKPOINT", help="A run's folder or name, or a checkpoint file.")],
    tta: Annotated[str | None, Option(help="none, hflip or hflip_translate. Default: as in training.")] = None,
    also_test: Annotated[
        list[str] | None,
        Option(help="A second test set: cifar10.1, cifar10-c, FILE.npz, or none. Repeat it for several."),
    ] = None,
    also_root: Annotated[Path | None, Option(help="Directory of their files.", metavar="DIR")] = None,
    data_root: DataRootFlag = None,
    device: DeviceNowFlag = None,
    runs: RunsFlag = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Measure a trained network on its test set, and on second ones."""
    path = run_folder(run, runs)
    from trainer.errors import ConfigError
    from trainer.files import finite_or_none
    from trainer.own.quiet import says_nothing
    from trainer.runs.folder import read_config
    from trainer.runs.kept import run_of
    from trainer.training.trained import evaluate_trained

    wanted = [] if also_test == ["none"] else also_test or None
    if also_root and not (read_config(run_of(path)).data.also_test if wanted is None else wanted):
        raise ConfigError("--also-root: no second test set is measured; name one, such as --also-test cifar10.1")
    also = {"data.also_test": wanted, "data.also_root": str(also_root) if also_root else None}
    with says_nothing():
        measured = evaluate_trained(path, loading_changes(data_root, device, **{"train.tta": tta}, **also))
    if as_json:
        return print_json(finite_or_none(measured))
    for key, value in measured.items():
        typer.echo(f"{key:<22} {value:.2%}" if key.endswith(_SHARES) else f"{key:<22} {value:.4f}")
    return None
