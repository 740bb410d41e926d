"""Flags of `trainer report`, and which of them go together."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from trainer.errors import UserError

OutFlag = Annotated[
    Path | None,
    Option(help="Folder of the report, or of a folder per report. Default: report/ in the folder of the runs.",
           metavar="DIR"),
]  # fmt: skip
Targets = Annotated[
    list[str] | None,
    Argument(
        metavar="SWEEP_OR_FOLDER",
        help="A sweep's name, or its file, which is read as it is now. Or a folder of runs, run folders, or archives."
        " `index` writes the whole catalogue instead. `pack` and then folders or archives adds their runs to an"
        " archive.",
    ),
]
ArchivesFlag = Annotated[
    Path | None,
    Option(
        help="Folder of archives. Their runs count like those in RUNS. Default: docs/results/runs beside it.",
        metavar="DIR",
    ),
]
ToFlag = Annotated[Path | None, Option("--to", help="With `pack`: the archive.", metavar="NAME.jsonl.gz")]
MarginFlag = Annotated[
    float | None,
    Option(
        help="Difference that does not matter: points of an accuracy, or the metric's unit. Smaller ones are called"
        " equivalent. Default: the sweep file's `# Margin:`.",
        metavar="NUMBER",
    ),
]
ExpectFlag = Annotated[
    list[str] | None,
    Option(
        help="Two configurations and what is to be shown at the 5% level: `a > b`, `a < b`, or `a ~ b` for equivalent"
        " within the margin. Exit code 1 if one is not, or not yet.",
        metavar="A > B",
    ),
]
FromWandbFlag = Annotated[
    list[str] | None,
    Option("--from-wandb", help="First fetch these runs from W&B into folders, then report on them.",
           metavar="ENTITY/PROJECT[/SWEEP]"),
]  # fmt: skip
WandbFlag = Annotated[
    bool,
    Option("--wandb", help="Also create or update a W&B report of each table, and a workspace, in the runs' project."),
]
WandbProjectFlag = Annotated[str | None, Option(help="Like --wandb, but in this project.", metavar="ENTITY/PROJECT")]

_TAKES = {
    "pack": ("--to", "--json"),
    "index": ("--out", "--archives", "--json"),
    "--serve": ("--archives", "--margin", "--host", "--port", "--storage"),
    "a sweep": ("--out", "--archives", "--margin", "--expect", "--from-wandb", "--wandb", "--wandb-project", "--json"),
}
_NAMES = {"pack": "`trainer report pack`", "index": "`trainer report index`", "a sweep": "the report of a sweep"}


def refuse_unfit(what: str, given: Mapping[str, Any]) -> None:
    """Raise UserError for a flag that `what` would ignore: `pack`, `index`, `--serve` or the report of `a sweep`.

    Those that are not given are None. TRAINER_STORAGE is of many commands, so it is no mistake.
    """
    for flag, value in given.items():
        from_environment = flag == "--storage" and value == os.environ.get("TRAINER_STORAGE")
        if value is None or from_environment or flag in _TAKES[what]:
            continue
        if what == "--serve":
            raise UserError(f"--serve: goes without {flag}; `trainer report` without --serve writes the page")
        home = next(each for each in ("a sweep", "--serve", "pack", "index") if flag in _TAKES[each])
        raise UserError(f"{flag} goes with {_NAMES.get(home, home)}")
