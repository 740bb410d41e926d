"""`trainer bench`: measurements of speed on this machine."""

from typing import Annotated

import typer
from typer import Option

from trainer.cli.options import TAKES_ANY_KEY, DataFlag, DeviceFlag, JsonFlag, Overrides, load, overrides_of, print_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure speed on this machine.")


@app.command("data", context_settings=TAKES_ANY_KEY)
def bench_data(
    overrides: Overrides = None, data: DataFlag = None, device: DeviceFlag = None, as_json: JsonFlag = False
) -> None:
    """Compare the data pipeline with torchvision's, in images/s.

    torchvision's transforms run under a DataLoader with two workers. The two take turns.
    """
    config = load(overrides_of(overrides, False, data, device)).config
    from trainer.data.sources import load_image_set
    from trainer.training.bench import bench_data as measure
    from trainer.training.device import choose_compute

    measured = measure(load_image_set(config.data, seed=config.seed), choose_compute(config.train))
    if as_json:
        return print_json(measured)
    for key, value in measured.items():
        typer.echo(f"{key:<18} {value:,.1f}" + ("x" if key.endswith("ratio") else " images/s"))
    return None


@app.command("start")
def bench_start(
    rounds: Annotated[int, Option(help="Rounds in which the commands take turns.", metavar="N", min=1)] = 5,
    as_json: JsonFlag = False,
) -> None:
    """Measure the processor time of starts: of answers, of refusals, of a first training step."""
    from trainer.runs.starts import bench_start as measure
    from trainer.text import table

    measured = measure(rounds=rounds)
    if as_json:
        return print_json(measured)
    header = ["processor time, s", "median", "min", "max"]
    lines = [[name, *(f"{value:.2f}" for value in taken.values())] for name, taken in measured["seconds"].items()]
    typer.echo(table([header, *lines], right={1, 2, 3}))
    machine = measured["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    typer.echo(
        f"\n{rounds} rounds, {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {versions}"
    )
    return None
