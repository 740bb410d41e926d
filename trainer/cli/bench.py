"""`trainer bench`: measurements of speed on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from trainer.cli.examples import examples
from trainer.cli.options import (
    TAKES_ANY_KEY,
    DataFlag,
    DeviceFlag,
    HaveFlag,
    JsonFlag,
    ModelFlag,
    Overrides,
    RecipeFlag,
    complete_model,
    load,
    overrides_of,
    print_json,
)
from trainer.errors import UserError

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure speed on this machine: medians of rounds in turn."
)

RoundsFlag = Annotated[int, Option(help="Rounds in which the sides take turns.", metavar="N", min=1)]
_NETWORKS = ("resnet18", "resnet9", "fastresnet9", "vgg_a_bn", "wide_resnet16x8", "densenet100_bc", "lenet5")
_QUIET = "sink.wandb.mode=disabled"


@app.command("step", context_settings=TAKES_ANY_KEY, epilog=examples("bench step"))
def bench_step(
    overrides: Overrides = None,
    model: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            autocompletion=complete_model,
            help=f"Network. Give it again for each one. Default: that of a recipe, or else {', '.join(_NETWORKS)}.",
        ),
    ] = None,
    recipe: RecipeFlag = None,
    device: DeviceFlag = None,
    rounds: RoundsFlag = 5,
    as_json: JsonFlag = False,
) -> None:
    """Measure bare training steps.

    Prints images/s, the share of the speed of matrix products, and where the time goes.
    """
    typed = overrides_of([_QUIET, *(overrides or [])], device)
    if not model and (recipe or any(word.startswith(("recipe=", "model.name=")) for word in typed)):
        configs = [load(typed, recipe).config]
    else:
        configs = [load([f"model.name={name}", *typed], recipe).config for name in model or _NETWORKS]
    from trainer.bench.step import bench_step as measure

    _print(measure(configs, rounds=rounds), as_json)


@app.command("data", context_settings=TAKES_ANY_KEY, epilog=examples("bench data"))
def bench_data(
    overrides: Overrides = None,
    data: DataFlag = None,
    device: DeviceFlag = None,
    rounds: RoundsFlag = 5,
    as_json: JsonFlag = False,
) -> None:
    """Compare the data pipeline with torchvision's.

    Prints images/s. torchvision's transforms run under a DataLoader with two workers. `full` adds colour jitter and
    erasing.
    """
    config = load(overrides_of(overrides, data, device)).config
    from trainer.bench.data import bench_data as measure
    from trainer.data.sources import load_image_set
    from trainer.training.device import choose_compute

    measured = measure(load_image_set(config.data, seed=config.seed), choose_compute(config.train), rounds=rounds)
    _print(measured, as_json)


@app.command("epoch", context_settings=TAKES_ANY_KEY, epilog=examples("bench epoch"))
def bench_epoch(
    overrides: Overrides = None,
    model: ModelFlag = None,
    data: DataFlag = None,
    device: DeviceFlag = None,
    rounds: RoundsFlag = 5,
    as_json: JsonFlag = False,
) -> None:
    """Compare whole epochs with bare steps.

    Epochs have data, evaluation, logging and checkpoints, too.
    """
    config = load(overrides_of([_QUIET, *(overrides or [])], model, data, device)).config
    from trainer.bench.epoch import bench_epoch as measure

    _print(measure(config, rounds=rounds), as_json)


@app.command("start", epilog=examples("bench start"))
def bench_start(rounds: RoundsFlag = 5, as_json: JsonFlag = False) -> None:
    """Measure the processor time of starts.

    These are of answers, of refusals, and of a first training step.
    """
    from trainer.bench.start import bench_start as measure

    _print(measure(rounds=rounds), as_json)


@app.command("sweep", context_settings=TAKES_ANY_KEY, epilog=examples("bench sweep"))
def bench_sweep(
    overrides: Overrides = None,
    model: ModelFlag = None,
    data: DataFlag = None,
    at_once: Annotated[
        list[int] | None,
        Option("--per-device", help="Points at once. Give it again for each K. Default: 2.", metavar="K", min=1),
    ] = None,
    rounds: RoundsFlag = 3,
    as_json: JsonFlag = False,
) -> None:
    """Compare points of a sweep in turn with as many at once.

    Both are on one device, and starts are included.
    """
    typed = [_QUIET, *overrides_of(overrides, model, data)]
    config = load(typed).config
    from trainer.bench.sweep import bench_sweep as measure

    _print(measure(typed, config, at_once=at_once or [2], rounds=rounds), as_json)


@app.command("devices", context_settings=TAKES_ANY_KEY, epilog=examples("bench devices"))
def bench_devices(
    overrides: Overrides = None,
    model: ModelFlag = None,
    data: DataFlag = None,
    counts: Annotated[
        list[int] | None,
        Option("--devices", help="Devices of a run. Give it again for each number. Default: 2.", metavar="N", min=2),
    ] = None,
    rounds: RoundsFlag = 3,
    as_json: JsonFlag = False,
) -> None:
    """Compare a run on N devices with the same on one.

    It is measured with the same batch, and with N times the batch.
    """
    typed = [_QUIET, *overrides_of(overrides, model, data)]
    config = load(typed).config
    from trainer.bench.devices import bench_devices as measure

    _print(measure(typed, config, counts=counts or [2], rounds=rounds), as_json)


def _checkout(repository: str) -> Any:
    return Option(help=f"Checkout of {repository}.", metavar="DIR")


@app.command("peers", epilog=examples("bench peers"))
def bench_peers(
    pytorch_cifar: Annotated[Path | None, _checkout("kuangliu/pytorch-cifar")] = None,
    airbench: Annotated[Path | None, _checkout("KellerJordan/cifar10-airbench")] = None,
    timm: Annotated[Path | None, _checkout("huggingface/pytorch-image-models, for its train.py")] = None,
    images: Annotated[int, Option(help="Images of an epoch, which is a turn.", metavar="N", min=128)] = 1280,
    rounds: RoundsFlag = 5,
    as_json: JsonFlag = False,
) -> None:
    """Compare our training loop with those of other repositories.

    The code of the others is imported and run, on images of noise.
    """
    given = {"pytorch-cifar": pytorch_cifar, "airbench": airbench, "timm": timm}
    from trainer.bench.peers import bench_peers as measure

    checkouts = {name: path for name, path in given.items() if path}
    _print(measure(checkouts, rounds=rounds, images=images), as_json)


@app.command("accuracy", context_settings=TAKES_ANY_KEY, epilog=examples("bench accuracy"))
def bench_accuracy(
    overrides: Overrides = None,
    recipe: RecipeFlag = None,
    data: DataFlag = None,
    device: DeviceFlag = None,
    target: Annotated[float, Option(help="Test accuracy to be shown, as a fraction.", metavar="SHARE")] = 0.94,
    runs: Annotated[int, Option(help="Runs, each with a seed of its own.", metavar="N", min=1)] = 10,
    folder: Annotated[
        Path | None,
        Option(help="Folder of the runs, to go on with. Default: runs/accuracy-RECIPE.", metavar="DIR"),
    ] = None,
    charge_evaluation: Annotated[bool, Option("--charge-evaluation", help="Charge the evaluations, too.")] = False,
    against: Annotated[
        Path | None,
        Option(
            help="Checkout of KellerJordan/cifar10-airbench, whose quickest script for the target takes turns with"
            " ours, or one of its scripts.",
            metavar="PATH",
        ),
    ] = None,
    peer_runs: Annotated[
        int | None,
        Option(
            help="Runs of --against, beside the first of ours that are made now. Default: as many as those.",
            metavar="M",
            min=1,
        ),
    ] = None,
    have: HaveFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure seconds to an accuracy over whole runs.

    A test says whether their mean accuracy is above it. docs/records.md has the protocol, and says how to go on in
    another session or on another machine.
    """
    if not 0 < target < 1:
        raise UserError(f"--target {target:g}: expected a fraction between 0 and 1, such as 0.94")
    from trainer.bench.peers import airbench_script

    if peer_runs and not against:
        raise UserError(f"--peer-runs {peer_runs}: goes with --against CHECKOUT")
    if peer_runs and peer_runs > runs:
        raise UserError(f"--peer-runs {peer_runs}: more than --runs {runs}; a run of the peer's is beside one of ours")
    script = airbench_script(against, target) if against else None
    config = load(overrides_of([_QUIET, *(overrides or [])], data, device), recipe).config
    name = recipe or config.model.name
    from trainer.bench.accuracy import bench_accuracy as measure

    where = folder or Path("runs") / f"accuracy-{name}"
    measured = measure(
        config,
        name=name,
        target=target,
        runs=runs,
        folder=where,
        charge_evaluation=charge_evaluation,
        against=script,
        peer_runs=peer_runs,
        have=have or (),
        note=lambda line: typer.echo(f"note: {line}", err=True),
    )
    _print(measured, as_json)
    if not as_json:
        typer.echo("\n".join(measured["findings"]))


def _print(measured: Mapping[str, Any], as_json: bool) -> None:
    from trainer.bench.rounds import as_text

    if as_json:
        return print_json(measured)
    return typer.echo(as_text(measured))
