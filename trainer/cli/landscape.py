"""`trainer landscape`: measurements of trained runs. torch and numpy are imported inside the commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

from trainer.cli import options
from trainer.cli.examples import examples
from trainer.own.quiet import says_nothing

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure loss surfaces and curvature of trained runs."
)

Run = Annotated[Path, Argument(metavar="RUN", help="A run's folder or name.")]
ImagesFlag = Annotated[int, Option(help="Number of images to average the loss over.", metavar="N", min=1)]
SplitFlag = Annotated[Literal["train", "test"], Option(help="The split of the images.")]
SeedFlag = Annotated[int, Option(help="Seed that draws images, directions and vectors.", metavar="N", min=0)]
OutFlag = Annotated[Path | None, Option(help="Directory of the result. Default: in the run's folder.", metavar="DIR")]


@app.command(epilog=examples("landscape surface"))
def surface(
    run: Run,
    plane: Annotated[Literal["random", "path"], Option(help="Random directions, or those of training.")] = "random",
    dims: Annotated[int, Option(help="1: a line, 2: a plane.", min=1, max=2)] = 2,
    points: Annotated[int, Option(help="Points along each direction.", metavar="N", min=3)] = 21,
    reach: Annotated[
        float | None,
        Option(
            help="How far to go on each side. random: in lengths of the network's filters, default 1. path: past the"
            " path, as a share of its extent, default 0.25.",
            metavar="X",
            min=0,
        ),
    ] = None,
    images: ImagesFlag = 1000,
    split: SplitFlag = "train",
    seed: SeedFlag = 0,
    data_root: options.DataRootFlag = None,
    device: options.DeviceNowFlag = None,
    runs: options.RunsFlag = Path("runs"),
    out: OutFlag = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Measure loss and accuracy around a trained network."""
    folder = options.run_folder(run, runs)
    from trainer.landscape.network import load_network
    from trainer.landscape.surface import as_text, measure_surface

    network = load_network(folder, options.loading_changes(data_root, device), split=split, images=images, seed=seed)
    if reach is None:
        reach = 1.0 if plane == "random" else 0.25
    with options.resumable(), says_nothing():
        result = measure_surface(
            network, plane=plane, dims=dims, points=points, reach=reach, folder=out or folder / "surface"
        )
    _show(result, as_text, as_json)


@app.command(epilog=examples("landscape hessian"))
def hessian(
    run: Run,
    epochs: Annotated[str, Option(help="Epochs with kept weights: 0,5,20, all or last.", metavar="LIST")] = "last",
    top: Annotated[int, Option(help="Number of eigenvalues, largest first.", metavar="K", min=1)] = 5,
    iterations: Annotated[int, Option(help="Lanczos iterations.", metavar="N", min=1)] = 40,
    trace_samples: Annotated[int, Option(help="Random vectors for the trace. 0: no trace.", metavar="N", min=0)] = 20,
    batch_statistics: Annotated[
        bool, Option("--batch-statistics", help="Let norms use the statistics of each chunk, as in training.")
    ] = False,
    chunk: Annotated[int, Option(help="Images per pass, and per batch of statistics.", metavar="N", min=1)] = 250,
    precision: Annotated[Literal["float32", "float64"], Option(help="Number format.")] = "float32",
    images: ImagesFlag = 1000,
    split: SplitFlag = "train",
    seed: SeedFlag = 0,
    data_root: options.DataRootFlag = None,
    device: options.DeviceNowFlag = None,
    runs: options.RunsFlag = Path("runs"),
    out: OutFlag = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Measure the largest eigenvalues and the trace of the Hessian."""
    folder = options.run_folder(run, runs)
    import torch

    from trainer.landscape.hessian import as_text, epochs_asked, measure_hessian
    from trainer.landscape.network import load_network

    network = load_network(folder, options.loading_changes(data_root, device), split=split, images=images, seed=seed)
    with options.resumable(), says_nothing():
        result = measure_hessian(
            network,
            epochs_asked(network, epochs),
            top=top,
            iterations=iterations,
            trace_samples=trace_samples,
            chunk=chunk,
            batch_statistics=batch_statistics,
            dtype=torch.float64 if precision == "float64" else torch.float32,
            folder=out or folder / "hessian",
        )
    _show(result, as_text, as_json)


@app.command(epilog=examples("landscape bands"))
def bands(
    folders: Annotated[
        list[Path], Argument(metavar="RUN_OR_SWEEP_FOLDER...", help="Runs at several rates, or their folders.")
    ],
    key: Annotated[str, Option(help="The metric whose range over the learning rates is the band.")] = "runs/loss",
    from_step: Annotated[int, Option(help="First step to use.", metavar="N", min=0)] = 0,
    gap: Annotated[int, Option(help="Use only multiples of this step.", metavar="N", min=1)] = 1,
    out: Annotated[Path | None, Option(help="Write the table and the bands to this file.", metavar="FILE.json")] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Compare bands over runs that differ in their learning rate.

    Mean width, area, mean level and beta of each group, over seeds.
    """
    from trainer.files import write_whole
    from trainer.landscape.band_table import as_text, band_table
    from trainer.runs.bands import loss_bands
    from trainer.runs.history import find_runs, read_history

    histories = [read_history(folder) for folder in find_runs(folders)]
    table = band_table(histories, key, from_step=from_step, gap=gap)
    if out is not None:
        rows = loss_bands(histories, key, from_step=from_step, gap=gap)
        write_whole(out, json.dumps(table | {"bands": rows}).encode())
    if as_json:
        return options.print_json(table)
    return typer.echo(as_text(table))


def _show(result: Path, as_text: Callable[[dict[str, Any]], str], as_json: bool) -> None:
    """Print a measurement as text with its path, or the content of its file."""
    from trainer.runs.measured import read_measured

    content = read_measured(result)
    if as_json:
        return typer.echo(result.read_text(encoding="utf-8"), nl=False)
    typer.echo(as_text(content))
    return typer.echo(result)
