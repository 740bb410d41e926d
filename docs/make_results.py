"""Write the pages of docs/results/ that follow from the archives of runs: `make results`. A test compares them.

NAME.jsonl.gz in docs/results/runs/ becomes NAME.md there, with its pictures. All archives together become index.md and
claims.md. The pages have no date of their own, so the same archives give the same bytes. Pages without an archive stay.
"""

from pathlib import Path

from trainer.report.pages.index import catalogue
from trainer.report.pages.write import write_catalogue, write_page
from trainer.runs.archive import SUFFIX

RESULTS = Path(__file__).parent / "results"


def make_results(results: Path = RESULTS) -> list[Path]:
    """Write the pages and pictures and return them, index.md last.

    Raises ArchiveError for a damaged archive, DiskError if a page cannot be written.
    """
    archives = results / "runs"
    written = [page for archive in sorted(archives.glob(f"*{SUFFIX}")) for page in write_page(archive)]
    lines, tables = catalogue(archives, archives)  # no run folders are read: a run that is not packed is nobody else's
    return [*written, results / "claims.md", write_catalogue(lines, tables, results)]


if __name__ == "__main__":
    make_results()
