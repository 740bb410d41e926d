"""A report as files: index.html, NAME.md with its pictures, results.json, results.csv. The catalogue as two pages."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from trainer.files import make_folder, write_whole
from trainer.panels.render import render
from trainer.report.pages import claims, index
from trainer.report.pages.charts import Chart, charts_of
from trainer.report.pages.export import as_csv, as_json_text
from trainer.report.pages.html import as_page
from trainer.report.pages.index import Line
from trainer.report.pages.markdown import as_markdown
from trainer.report.pages.overview import overview
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.text import writable


def write_report(table: Table, out: Path) -> list[Path]:
    """Write the report and return its files, the page first. Raises DiskError."""
    charts, pictures = _drawn(table, out)
    texts = {
        "index.html": as_page(table, charts, lambda picture: quote(os.fsencode(os.path.relpath(picture, out)))),
        f"{table.name}.md": as_markdown(table, charts, pictures, beside=out),
        "results.json": as_json_text(table),
        "results.csv": as_csv(table),
    }
    for name, text in texts.items():
        write_whole(out / name, writable(text).encode())
    return [out / name for name in [*texts, *pictures.values()]]


def write_page(archive: Path) -> list[Path]:
    """Write NAME.md of an archive beside it, with its pictures, and return these files.

    Raises ArchiveError if the archive is damaged, DiskError if the page cannot be written.
    """
    table = read_table(archive)
    charts, pictures = _drawn(table, archive.parent)
    page = archive.with_name(f"{table.name}.md")
    text = as_markdown(table, charts, pictures, beside=archive.parent, numbers=[archive.name])
    write_whole(page, writable(text).encode())
    return [page, *(archive.with_name(name) for name in pictures.values())]


def write_catalogue(lines: Sequence[Line], tables: Sequence[Table], place: Path) -> Path:
    """Write claims.md, published.svg and index.md, which links to the pages in `place`. Return index.md.

    Raises DiskError.
    """
    make_folder(place)
    render(overview(lines), place / index.PICTURE)
    page, conclusions = place / "index.md", place / "claims.md"
    write_whole(conclusions, writable(claims.as_markdown(claims.all_claims(tables), beside=place)).encode())
    write_whole(page, writable(index.as_markdown(lines, tables, beside=place)).encode())  # it links to the others
    return page


def _drawn(table: Table, out: Path) -> tuple[list[Chart], dict[str, str]]:
    """Draw the charts into a folder. Return (the charts, the name of each one's picture)."""
    make_folder(out)
    charts = charts_of(table)
    pictures = {chart.name: f"{table.name}-{chart.name}.svg" for chart in charts}
    for chart in charts:
        render(chart.spec, out / pictures[chart.name])
    return charts, pictures
