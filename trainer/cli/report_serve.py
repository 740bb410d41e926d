"""`trainer report NAME --serve`: the page of a sweep while it runs."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from trainer.errors import UserError

ServeFlag = Annotated[
    bool,
    Option("--serve", help="Show the page in a browser while the sweep runs. It updates itself; nothing is written."),
]
HostFlag = Annotated[
    str | None,
    Option(help="Of --serve: the address to serve on. Default: 127.0.0.1, this machine only.", metavar="ADDRESS"),
]
PortFlag = Annotated[
    int | None, Option(help="Of --serve: the port. 0: any free one. Default: 8321.", metavar="N", min=0, max=65535)
]
StorageFlag = Annotated[
    str | None,
    Option(
        help="Of --serve: the database of the sweep, as `trainer sweep run` has it. Default: a file in its folder.",
        metavar="URL",
        envvar="TRAINER_STORAGE",
    ),
]
_PORT = 8321
_CURE = "pip install 'cifar-sweeps[serve]'"


def serve_report(
    targets: Sequence[str],
    runs: Path,
    archives: Path,
    host: str | None,
    port: int | None,
    storage: str | None,
    margin: float | None,
) -> None:
    """Serve the page of one sweep until Ctrl-C. Raises UserError for anything else, or without the extra `serve`."""
    if len(targets) != 1:
        raise UserError("--serve: shows one sweep, or one folder of runs; name it")
    if not all(map(find_spec, ("starlette", "uvicorn"))):
        raise UserError(f"--serve: needs Starlette and uvicorn: {_CURE}")
    from trainer.report.live.keeper import Keeper
    from trainer.report.live.serve import serve
    from trainer.report.sources import source_to_watch

    def say(line: str) -> None:
        typer.echo(line, err=True)

    source = source_to_watch(targets[0], runs, archives)
    keeper = Keeper(source, storage=storage, margin=margin, complain=say)
    serve(keeper, host or "127.0.0.1", _PORT if port is None else port, say)
