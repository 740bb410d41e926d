"""`trainer report`: a page for each sweep, and the whole catalogue. scipy and charts are imported when needed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from trainer.cli.options import JsonFlag, RunsFlag
from trainer.errors import ConfigError, UserError

SETTINGS: dict[str, Any] = {
    "epilog": """Examples:

\b
  trainer report lr_scheduler
  trainer report runs/first runs/second --out compared
  trainer report --from-wandb ENTITY/PROJECT
  trainer report index""",
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
        help="A sweep file or its name, a folder of runs, or run folders. `index` writes the whole catalogue instead.",
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
    from_wandb: FromWandbFlag = None,
    to_wandb: WandbFlag = False,
    wandb_project: WandbProjectFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare runs with each other and with published figures.

    The report is an HTML page, Markdown with pictures, results.json and results.csv. The last line on stdout is the
    path of the page.
    """
    if targets == ["index"]:
        return _index(runs, out, as_json)
    from trainer.report.pages.answer import finding
    from trainer.report.pages.export import as_json as content_of
    from trainer.report.pages.write import write_report
    from trainer.report.tables import read_tables

    asked = [*(targets or []), *_fetched(from_wandb or [], runs)]
    if not asked:
        raise UserError("report: name a sweep or a folder with runs, or --from-wandb ENTITY/PROJECT[/SWEEP]")
    tables = read_tables(asked, runs)
    places = [
        table.folder / "report" if out is None else out / table.name if len(tables) > 1 else out for table in tables
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


def _fetched(paths: list[str], runs: Path) -> list[str]:
    """Fetch runs from W&B into runs/wandb/ENTITY/PROJECT and return their folders."""
    from trainer.wandb_api.fetch import bring, place_in

    return [
        str(folder)
        for path in paths
        for folder in bring(path, place_in(runs, path), say=lambda line: typer.echo(line, err=True))
    ]


def _index(runs: Path, out: Path | None, as_json: bool) -> None:
    from trainer.files import make_folder, write_whole
    from trainer.report.pages import claims, index
    from trainer.text import writable

    lines, tables = index.catalogue(runs)
    place = out or runs
    make_folder(place)
    page, conclusions = place / "index.md", place / "claims.md"
    write_whole(conclusions, writable(claims.as_markdown(claims.all_claims(tables), beside=place)).encode())
    write_whole(page, writable(index.as_markdown(lines, tables, beside=place)).encode())  # it links to the others
    if as_json:
        typer.echo(json.dumps(index.as_json(lines), allow_nan=False))
    else:
        typer.echo(index.coverage(lines))
        typer.echo(str(page))
