"""A report as files: index.html, NAME.md with its pictures, results.json, results.csv."""

from pathlib import Path

from trainer.files import make_folder, write_whole
from trainer.panels.render import render
from trainer.report.pages.charts import charts_of
from trainer.report.pages.export import as_csv, as_json_text
from trainer.report.pages.html import as_page
from trainer.report.pages.markdown import as_markdown
from trainer.report.tables import Table
from trainer.text import writable


def write_report(table: Table, out: Path) -> list[Path]:
    """Write the report and return its files, the page first. Raises DiskError."""
    make_folder(out)
    charts = charts_of(table)
    pictures = {chart.name: f"{table.name}-{chart.name}.svg" for chart in charts}
    for chart in charts:
        render(chart.spec, out / pictures[chart.name])
    texts = {
        "index.html": as_page(table, charts),
        f"{table.name}.md": as_markdown(table, charts, pictures, beside=out),
        "results.json": as_json_text(table),
        "results.csv": as_csv(table),
    }
    for name, text in texts.items():
        write_whole(out / name, writable(text).encode())
    return [out / name for name in [*texts, *pictures.values()]]
