"""`trainer report`: a page for each sweep, the whole catalogue, archives. scipy and charts are imported late."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from trainer.cli.examples import examples
from trainer.cli.options import JsonFlag, RunsFlag
from trainer.cli.report_flags import (
    ArchivesFlag,
    ExpectFlag,
    FromWandbFlag,
    MarginFlag,
    OutFlag,
    Targets,
    ToFlag,
    WandbFlag,
    WandbProjectFlag,
    refuse_unfit,
)
from trainer.cli.report_serve import HostFlag, PortFlag, ServeFlag, StorageFlag, serve_report
from trainer.errors import ConfigError, UserError

SETTINGS: dict[str, Any] = {
    "epilog": examples("report"),
}


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
    first = targets[0] if targets else ""
    what = "--serve" if serve else "pack" if first == "pack" else "index" if targets == ["index"] else "a sweep"
    given = {"--to": to, "--out": out, "--margin": margin, "--expect": expect or None, "--archives": archives,
             "--from-wandb": from_wandb or None, "--wandb": to_wandb or None, "--wandb-project": wandb_project,
             "--host": host, "--port": port, "--storage": storage, "--json": as_json or None}  # fmt: skip
    refuse_unfit(what, given)
    if what == "pack":
        return _pack((targets or [])[1:], to, runs, as_json)
    if margin is not None and not 0 < margin < math.inf:
        raise UserError(f"--margin {margin:g}: expected a difference above 0, such as 0.3")
    from trainer.report.tables import archives_beside, place_of, read_tables

    archives = archives or archives_beside(runs)
    if serve:
        return serve_report(targets or [], runs, archives, host, port, storage, margin)
    if what == "index":
        return _index(runs, archives, out, as_json)
    from trainer.report.expected import judge, read_expected
    from trainer.report.pages.answer import finding
    from trainer.report.pages.export import as_json as content_of
    from trainer.report.pages.write import write_report

    asked = [*(targets or []), *_fetched(from_wandb or [], runs)]
    if not asked:
        raise UserError("report: name a sweep or a folder with runs, or --from-wandb ENTITY/PROJECT[/SWEEP]")
    tables = read_tables(asked, runs, archives)
    if margin is not None:
        tables = [table.with_margin(margin) for table in tables]
    if expect and len(tables) > 1:
        raise UserError("--expect is of one sweep; report on each in turn")
    expected = [read_expected(text, tables[0]) for text in expect or []]
    places = [
        place_of(table, runs) if out is None else out / table.name if len(tables) > 1 else out for table in tables
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
