"""`trainer compare`. torch is imported inside the command."""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from trainer.cli.options import DataRootFlag, DeviceNowFlag, JsonFlag, RunsFlag, loading_changes, run_folder
from trainer.errors import ConfigError


def compare(
    runs_given: Annotated[list[Path], Argument(metavar="RUN RUN...", help="Two or more runs' folders or names.")],
    out: Annotated[Path | None, Option(help="Write compare.json and learning curves there.", metavar="DIR")] = None,
    data_root: DataRootFlag = None,
    device: DeviceNowFlag = None,
    runs: RunsFlag = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Show in what runs differ: config, results, curves, and whether the difference is more than noise."""
    from trainer.files import disk_errors, write_whole
    from trainer.inspect.comparison import as_text, draw_curves
    from trainer.inspect.comparison import compare as find

    folders = [run_folder(run, runs) for run in runs_given]
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigError("compare: needs two runs or more, each once")
    found = find(folders, loading_changes(data_root, device))
    typer.echo(json.dumps(found) if as_json else as_text(found))
    if out is None:
        return
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "compare.json", (json.dumps(found, indent=2) + "\n").encode())
    for path in [out / "compare.json", *draw_curves(folders, out)]:
        typer.echo(path, err=as_json)
