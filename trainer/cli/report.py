"""`trainer report`: a page for each sweep, the whole catalogue, archives. scipy and charts are imported late."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from trainer.cli.options import JsonFlag, RunsFlag
from trainer.cli.report_serve import HostFlag, PortFlag, ServeFlag, StorageFlag, serve_report
from trainer.errors import ConfigError, UserError

SETTINGS: dict[str, Any] = {
    "epilog": """Examples:

\b
  trainer report lr_scheduler
  trainer report lr_scheduler --serve
  trainer report lr_scheduler --margin 0.3
  trainer report lr_scheduler --expect "cosine > constant"
  trainer report runs/first runs/second --out compared
  trainer report --from-wandb ENTITY/PROJECT
  trainer report index
  trainer report pack runs/lr_scheduler --to docs/results/runs/lr_scheduler.jsonl.gz
  trainer report docs/results/runs/lr_scheduler.jsonl.gz""",
}

OutFlag = Annotated[
    Path | None,
    Option(help="Folder of the report, or of a folder per report. Default: report/ in the folder of the runs.",
           metavar="DIR"),
]  # fmt: skip
Targets = Annotated[
    list[str] | None,
    Argument(
        metavar="SWEEP_OR_FOLDER",
        help="A sweep file or its name, a folder of runs, run folders, or archives. `index` writes the whole catalogue"
        " instead. `pack` and then folders or archives adds their runs to an archive.",
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


def report(
    targets: Targets = None,
    out: OutFlag = None,
    runs: RunsFlag = Path("runs"),
    archives: ArchivesFlag = None,
    to: ToFlag = None,
    margin: MarginFlag = None,
    expect: ExpectFlag = None,
    from_wandb: FromWandbFlag = None,
    to_wandb: WandbFlag = False,
    wandb_project: WandbProjectFlag = None,
    serve: ServeFlag = False,
    host: HostFlag = None,
    port: PortFlag = None,
    storage: StorageFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare runs with each other and with published figures.

    The report is an HTML page, Markdown with pictures, results.json and results.csv. The last line on stdout is the
    path of the page.
    """
    if targets and targets[0] == "pack":
        return _pack(targets[1:], to, runs, as_json)
    if to is not None:
        raise UserError("--to goes with `trainer report pack`")
    if margin is not None and not 0 < margin < math.inf:
        raise UserError(f"--margin {margin:g}: expected a difference above 0, such as 0.3")
    if (margin is not None or expect) and targets == ["index"]:
        raise UserError("--margin and --expect go with the report of a sweep")
    archives = archives or runs.parent / "docs/results/runs"
    if serve:
        writes = {"--out": out, "--expect": expect, "--from-wandb": from_wandb, "--wandb": to_wandb or wandb_project}
        if given := [flag for flag, value in (writes | {"--json": as_json}).items() if value]:
            raise UserError(f"--serve: goes without {given[0]}; `trainer report` without --serve writes the page")
        return serve_report(targets or [], runs, archives, host, port, storage, margin)
    if host is not None or port is not None:
        raise UserError("--host and --port go with --serve")
    if targets == ["index"]:
        return _index(runs, archives, out, as_json)
    from trainer.report.expected import judge, read_expected
    from trainer.report.pages.answer import finding
    from trainer.report.pages.export import as_json as content_of
    from trainer.report.pages.write import write_report
    from trainer.report.tables import read_tables

    asked = [*(targets or []), *_fetched(from_wandb or [], runs)]
    if not asked:
        raise UserError("report: name a sweep or a folder with runs, or --from-wandb ENTITY/PROJECT[/SWEEP]")
    tables = read_tables(asked, runs, archives)
    if margin is not None:
        if by_outcome := next((table for table in tables if table.asked), None):
            raise UserError(f"--margin is of the metric, and {by_outcome.name} compares an outcome")
        tables = [replace(table, margin=margin) for table in tables]
    if expect and len(tables) > 1:
        raise UserError("--expect is of one sweep; report on each in turn")
    expected = [read_expected(text, tables[0]) for text in expect or []]
    homes = [table.folder if table.folder.is_dir() else runs / table.name for table in tables]  # not beside an archive
    places = [
        home / "report" if out is None else out / table.name if len(tables) > 1 else out
        for table, home in zip(tables, homes, strict=True)
    ]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise ConfigError(f"report: two of the tables would be written to {twice}; report on them one by one")
    for table, place in zip(tables, places, strict=True):
        page, *_ = write_report(table, place)
        if not as_json:
            for problem in table.problems:
                typer.echo(f"{problem.kind}: {problem.where}: {problem.message}", err=True)
            typer.echo(finding(table).text)
            typer.echo(str(page))
    if to_wandb or wandb_project:
        from trainer.wandb_api.reports import publish

        for page in publish(tables, wandb_project):
            typer.echo(f"W&B: {page}", err=True)
    if as_json:
        typer.echo(json.dumps([content_of(table) for table in tables], allow_nan=False, default=str))
    outcomes = judge(tables[0], expected) if expected else []
    for each in outcomes:
        typer.echo(f"{'as expected' if each.met else 'NOT as expected'}: {each.expected} ({each.why})", err=True)
    if not all(each.met for each in outcomes):
        raise typer.Exit(1)


def _fetched(paths: list[str], runs: Path) -> list[str]:
    """Fetch runs from W&B into runs/wandb/ENTITY/PROJECT and return their folders."""
    from trainer.wandb_api.fetch import bring, place_in

    return [
        str(folder)
        for path in paths
        for folder in bring(path, place_in(runs, path), say=lambda line: typer.echo(line, err=True))
    ]


def _index(runs: Path, archives: Path, out: Path | None, as_json: bool) -> None:
    from trainer.report.pages import index
    from trainer.report.pages.write import write_catalogue

    lines, tables = index.catalogue(runs, archives)
    page = write_catalogue(lines, tables, out or runs)
    if as_json:
        typer.echo(json.dumps(index.as_json(lines), allow_nan=False))
    else:
        typer.echo(index.coverage(lines))
        typer.echo(str(page))


def _pack(targets: list[str], to: Path | None, runs: Path, as_json: bool) -> None:
    """Print what was packed, the path of the archive last."""
    from trainer.report.pack import pack

    if not targets or to is None:
        raise UserError("report pack: name folders or archives, and the archive: runs/NAME --to NAME.jsonl.gz")
    packed = pack(targets, to, runs)
    for problem in packed.left_out:
        typer.echo(f"not packed: {problem.where}: {problem.message}", err=True)
    for warning in packed.warnings:
        typer.echo(f"warning: {to}: {warning}", err=True)
    if as_json:
        return typer.echo(json.dumps(asdict(packed), default=str))
    typer.echo(f"{packed.runs} runs, {packed.new} of them new, {packed.size / packed.runs / 1024:.1f} KiB a run")
    typer.echo(str(packed.path))
