"""`trainer lr-find`: a learning-rate range test of any config."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from trainer.cli import options
from trainer.cli.examples import examples
from trainer.errors import ConfigError

if TYPE_CHECKING:
    from trainer.training.rate_range import RateRange

SETTINGS: dict[str, Any] = {
    "context_settings": options.TAKES_ANY_KEY,
    "epilog": examples("lr-find"),
}
_SUFFIXES = (".png", ".svg", ".html")
_ROWS = 16  # of the table


def lr_find(
    overrides: options.Overrides = None,
    model: options.ModelFlag = None,
    batch_size: options.BatchSizeFlag = None,
    seed: options.SeedFlag = None,
    data: options.DataFlag = None,
    device: options.DeviceFlag = None,
    recipe: options.RecipeFlag = None,
    file: options.FileFlag = None,
    low: Annotated[float, Option("--from", help="Lowest rate.", metavar="RATE")] = 1e-5,
    high: Annotated[float, Option("--until", help="Highest rate.", metavar="RATE")] = 10.0,
    steps: Annotated[int, Option(help="Steps from the lowest rate to the highest.", metavar="N")] = 120,
    to: Annotated[Path | None, Option("--to", help="Draw it: a .svg, .png or .html file.", metavar="FILE")] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Suggest a learning rate by a range test.

    The rate rises from step to step until the loss diverges.

    Nothing is kept but the picture: there is no run folder.
    """
    from trainer.config.optimizer import LARGEST

    if not 0 < low < high:
        raise ConfigError(f"--until: {high:g}: expected a rate above --from {low:g}, which is above 0")
    if high > LARGEST:
        raise ConfigError(f"--until: {high:g}: a rate is at most {LARGEST:g}")
    if math.isinf(high / low):
        raise ConfigError(f"--from: {low:g}: too far below --until {high:g}")
    if steps < 20:
        raise ConfigError(f"--steps: {steps}: expected at least 20")
    if to is not None and to.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"--to: {to}: a chart is written as .png, .svg or .html")
    if to is not None and not to.parent.is_dir():
        raise ConfigError(f"--to: {to}: there is no folder {to.parent}")
    given = options.overrides_of(overrides, model, batch_size, seed, data, device)
    config = options.load(given, recipe, file).config
    from trainer.own.quiet import says_nothing
    from trainer.training.rate_range import measure_rate_range

    with says_nothing():
        found = measure_rate_range(config, low=low, high=high, steps=steps)
    if as_json:
        options.print_json(found.as_json())
    else:
        typer.echo(_as_text(found))
        typer.echo(_worth(found, config.seed), err=True)
    if to is None:
        return
    from trainer.training.rate_range_chart import draw_rate_range

    draw_rate_range(found, to, title=f"Range test: {config.model.name}, {config.optimizer.name}")
    if not as_json:
        typer.echo(to)


def _as_text(found: "RateRange") -> str:
    from trainer.text import number

    every = max(1, math.ceil(len(found.points) / _ROWS))
    shown = [*found.points[::every]]
    if shown[-1] is not found.points[-1]:
        shown.append(found.points[-1])
    lines = ["rate       loss, smoothed"]
    lines += [f"{point.rate:<10.2e} {number(point.smoothed)}" for point in shown]
    if found.diverged:
        lines[-1] += "  diverged"
    if found.suggested is None:
        return "\n".join([*lines, f"no suggestion: {found.why_none}"])
    lines.append(f"lowest loss at    {found.lowest:.2g}")
    if found.steepest is not None:
        lines.append(f"steepest fall at  {found.steepest:.2g}")
    return "\n".join([*lines, f"optimizer.lr={found.suggested:.2g}   a tenth of the rate at the lowest loss"])


def _worth(found: "RateRange", seed: int) -> str:
    return (
        f"one test of {len(found.points)} steps with seed {seed}: it shows where training diverges, and not which rate "
        "ends best; compare rates around it in a sweep"
    )
