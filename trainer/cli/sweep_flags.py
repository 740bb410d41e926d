"""Flags of more than one command of `trainer sweep`, and those of `run`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def sweep_path(word: str) -> Path:
    from trainer.sweep.catalogue import sweep_file

    return sweep_file(word)


_A_SWEEP = "A sweep file, such as sweeps/lr_scheduler.yaml, or a name of `trainer sweep list --catalogue`"
File = Annotated[Path, Argument(metavar="FILE", help=f"{_A_SWEEP}.", parser=sweep_path)]
Target = Annotated[
    str, Argument(metavar="FILE_OR_ID", help=f"{_A_SWEEP}, or a W&B sweep: ENTITY/PROJECT/ID or its page.")
]
StorageFlag = Annotated[
    str | None,
    Option(
        help="Database of the sweep, which machines can share, such as postgresql://USER@HOST/NAME. Default: a file"
        " in the sweep's folder.",
        metavar="URL",
        envvar="TRAINER_STORAGE",
    ),
]
JobsFlag = Annotated[int | None, Option(help="Points at once. Default: one on each device.", metavar="N", min=1)]
DevicesFlag = Annotated[
    str,
    Option(help="Devices to train on, such as cuda:0,cuda:1 or cpu. auto: all GPUs, or else the CPU.", metavar="LIST"),
]
PerDeviceFlag = Annotated[int | None, Option(help="Points at once on each device. Default: 1.", metavar="K", min=1)]
PerDeviceOrAutoFlag = Annotated[
    str | None,
    Option(
        "--per-device",
        help="Points at once on each device. auto: as many as fit into its memory, which the first steps of each"
        " configuration measure. Default: 1.",
        metavar="K",
    ),
]
Files = Annotated[
    list[str] | None,
    Argument(
        metavar="FILE... [KEY=VALUE]...",
        help="Sweep files or names of the catalogue, then any config key, the same at every point.",
    ),
]
OrderFlag = Annotated[
    str,
    Option(
        help="seeds-first: every configuration once, then every one again. grid: W&B's order. shuffled: at random.",
        metavar="ORDER",
    ),
]
FirstFlag = Annotated[
    list[str] | None, Option("--first", help="Run points with this value before all others.", metavar="KEY=VALUE")
]
OnlyFlag = Annotated[
    list[str] | None,
    Option(
        "--only",
        help="Run no point without this value. Give a key again for another of its values.",
        metavar="KEY=VALUE",
    ),
]
SeedsFlag = Annotated[
    str | None, Option(help="Run these seeds, such as 0-9 or 0-4,7. Default: the file's.", metavar="SEEDS")
]
TimeFlag = Annotated[
    str | None,
    Option("--for", help="Run whole rounds of seeds, as many as this time allows: 90s, 9m, 1h30m.", metavar="TIME"),
]
UntilFlag = Annotated[
    str | None,
    Option(
        "--until",
        help="HH:MM: the same, until this time of day. decided: give seeds to what is in question until it is decided.",
        metavar="WHEN",
    ),
]
QuestionFlag = Annotated[
    str | None,
    Option(
        help="Of --until decided. best: which is best? all-pairs: which pairs differ? against=LABEL: which differ from"
        " this configuration, or from this choice? Default: best.",
        metavar="QUESTION",
    ),
]
AtLeastFlag = Annotated[int | None, Option(help="Seeds before the first look. Default: 3.", metavar="N")]
AtMostFlag = Annotated[int | None, Option(help="Seeds of a configuration. Default: 10.", metavar="N")]
MarginFlag = Annotated[
    float | None,
    Option(help="Difference that does not matter, in points of an accuracy: 0.3.", metavar="POINTS"),
]
CatalogueFlag = Annotated[
    bool,
    Option(
        "--catalogue",
        help="Run all sweeps that answer a published row, first those that bring most rows to a verdict in an hour.",
    ),
]
RetryFlag = Annotated[bool, Option("--retry", help="Run points that crashed or diverged again.")]
RayFlag = Annotated[
    str | None,
    Option(
        "--ray",
        help="Run on the machines of a Ray cluster: auto (that which this machine is part of), HOST:PORT of its head,"
        " or ray://HOST:10001. --per-device is then for each GPU of it, or for each node if it has none.",
        metavar="ADDRESS",
    ),
]
