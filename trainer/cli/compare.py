"""`trainer compare`. torch is imported inside the command."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from trainer.cli.options import DataRootFlag, DeviceNowFlag, JsonFlag, RunsFlag, loading_changes, print_json, run_folder
from trainer.errors import ConfigError


def compare(
    runs_given: Annotated[list[Path], Argument(metavar="RUN RUN...", help="Two or more run folders or names of runs.")],
    out: Annotated[Path | None, Option(help="Write compare.json and learning curves there.", metavar="DIR")] = None,
    data_root: DataRootFlag = None,
    device: DeviceNowFlag = None,
    runs: RunsFlag = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Compare runs: config, results, curves, significance."""
    folders = [run_folder(run, runs, needs="config.yaml") for run in runs_given]
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigError("compare: needs two or more runs, each once")
    from trainer.files import make_folder, write_json
    from trainer.inspect.comparison import as_text, draw_curves
    from trainer.inspect.comparison import compare as compare_runs
    from trainer.own.quiet import says_nothing

    with says_nothing():
        comparison = compare_runs(folders, loading_changes(data_root, device))
    if as_json:
        print_json(comparison)
    else:
        typer.echo(as_text(comparison))
    if out is None:
        return
    make_folder(out)
    write_json(out / "compare.json", comparison, indent=2)
    for path in [out / "compare.json", *draw_curves(folders, out)]:
        typer.echo(path, err=as_json)
