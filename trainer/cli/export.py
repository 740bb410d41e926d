"""`trainer export`. torch is imported inside the command."""

from pathlib import Path
from typing import Annotated, assert_never

import typer
from typer import Argument, Option

from trainer.cli.options import DataRootFlag, JsonFlag, RunsFlag, loading_changes, print_json, run_folder
from trainer.files import make_folder


def export(
    run: Annotated[
        Path,
        Argument(
            metavar="RUN_OR_CHECKPOINT",
            help="A run's folder or name, for the weights that training evaluated, or a checkpoint such as best.pt.",
        ),
    ],
    to: Annotated[str, Option(help="safetensors, onnx, timm or hub-folder.", metavar="FORMAT")],
    out: Annotated[
        Path | None, Option(help="The file or folder to write. Default: in RUN/export.", metavar="PATH")
    ] = None,
    check: Annotated[
        int | None,
        Option(help="Test images on which the export is compared with the network. Default: all.", metavar="N", min=1),
    ] = None,
    data_root: DataRootFlag = None,
    runs: RunsFlag = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Write a trained network for other programs.

    The copy is read back and its logits are compared with the network's. It is kept if they agree to within 1e-4. The
    last line on stdout is its path.
    """
    from trainer.export.formats import place_of, read_format

    form = read_format(to)
    path = run_folder(run, runs)
    place = place_of(path, form, out)
    from trainer.export.network import load_network
    from trainer.own.quiet import says_nothing

    network = load_network(path, loading_changes(data_root, None), check=check)
    make_folder(place.parent)
    match form:
        case "safetensors":
            from trainer.export.safetensors import write_safetensors as write
        case "onnx":
            from trainer.export.onnx import write_onnx as write
        case "timm":
            from trainer.export.timm import write_timm as write
        case "hub-folder":
            from trainer.export.hub import write_hub_folder as write
        case _:
            assert_never(form)
    with says_nothing():
        largest = write(network, place)
    if as_json:
        told = {"path": str(place), "format": form, "images": network.checked, "largest_difference": largest}
        return print_json(told | {"test/accuracy": network.accuracy})
    typer.echo(f"{network.config.model.name}, {network.accuracy:.2%} of {network.checked:,} test images right")
    typer.echo(f"largest difference of a logit: {largest:.1e}")
    return typer.echo(place)
