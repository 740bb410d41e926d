"""Pages of docs/results/ that follow from the archives of runs there: the committed ones, and those of made-up runs."""

import json
import random
import shutil
from pathlib import Path

import pytest
from command_line import run_here
from make_results import RESULTS, make_results

from trainer.config import load_config
from trainer.runs.archive import Archive, write_archive
from trainer.runs.archive_lines import entry_of
from trainer.runs.history import History
from trainer.runs.results import Result

PUBLISHED = "lr_scheduler.jsonl.gz"
DOCS, BY_HAND = RESULTS.parent, {"speed.md", "lr_scheduler.md", "fastresnet9.md"}


def pages_of(results: Path) -> dict[str, str]:
    """Return the pages below docs/results/ by their path there, without those that are written by hand."""
    found = {str(page.relative_to(results)): page.read_text(encoding="utf-8") for page in results.rglob("*.md")}
    return {name: text for name, text in found.items() if name not in BY_HAND}


def without_pages(place: Path) -> Path:
    """Copy docs/ without the pages that `make results` writes, and return its docs/results."""
    shutil.copytree(
        DOCS, place / "docs", ignore=shutil.ignore_patterns("__pycache__", "index.md", "claims.md", "*.svg")
    )
    for page in (place / "docs/results/runs").glob("*.md"):
        page.unlink()
    return place / "docs/results"


def test_the_committed_pages_are_those_of_the_committed_archives(tmp_path: Path) -> None:
    results = without_pages(tmp_path)
    make_results(results)
    assert pages_of(results) == pages_of(RESULTS), "run `make results`"
    pictures = {path.name for path in (results / "runs").glob("*.svg")}
    assert pictures == {path.name for path in (RESULTS / "runs").glob("*.svg")}
    assert (results / "published.svg").is_file() and (RESULTS / "published.svg").is_file()


@pytest.fixture(scope="session")
def made(made_once) -> Path:
    """The docs/results of a copy of docs/ with one archive, and all pages."""

    def make(folder: Path) -> None:
        results = without_archives(folder)
        write_published(results / "runs" / PUBLISHED)
        make_results(results)

    return made_once("docs_of_an_archive", make) / "docs" / "results"


def without_archives(place: Path) -> Path:
    """Do so without the committed archives too, whose pages and pictures take seconds."""
    results = without_pages(place)
    for archive in (results / "runs").glob("*.jsonl.gz"):
        archive.unlink()
    return results


def write_published(archive: Path) -> None:
    """Write an archive of a published sweep: two schedules at the published settings, three seeds."""
    draw, runs = random.Random(0), list[Result]()
    for name in ("cosine", "step"):
        words = ["recipe=resnet18", "optimizer.lr=0.01", "train.epochs=25", f"schedule.name={name}", "model.act=relu"]
        config = load_config(words).config.model_dump(mode="json")
        for seed in range(3):
            accuracy = 0.9 + 0.01 * draw.random()
            rows = [{"epoch": float(epoch), "step": epoch, "test/accuracy": accuracy} for epoch in (1, 2, 3)]
            summary = {"status": "finished", "epoch": 3.0, "test/accuracy": accuracy, "time/train_seconds": 9.0}
            flat = json.loads(json.dumps({**flat_of(config), "seed": seed}))
            history = History(Path("runs/lr_scheduler") / f"{name}-s{seed}", flat, rows, summary, [])
            command = f"trainer train {' '.join(words)} seed={seed}"
            runs.append(Result(history, {}, {"command": command, "started": "2026-01-01T00:00:00+00:00"}))
    text = (DOCS.parent / "sweeps" / "lr_scheduler.yaml").read_text(encoding="utf-8")
    write_archive(archive, Archive(text, tuple(map(entry_of, runs))))


def flat_of(config: dict[str, object]) -> dict[str, object]:
    from trainer.config.overrides import flatten

    return flatten(config)


def test_pages_of_an_archive_are_the_same_bytes_each_time(made: Path, tmp_path: Path) -> None:
    results = without_archives(tmp_path)
    shutil.copy(made / "runs" / PUBLISHED, results / "runs")
    written = make_results(results)
    assert {page: page.read_bytes() for page in written} == {
        page: (made / page.relative_to(results)).read_bytes() for page in written
    }
    assert {path.relative_to(results) for path in results.rglob("*")} == {
        path.relative_to(made) for path in made.rglob("*")
    }
    assert {page.name for page in written} >= {"lr_scheduler.md", "index.md", "claims.md"}
    assert any(page.suffix == ".svg" for page in written)


def test_the_index_has_the_rows_of_an_archive_and_links_to_its_page(made: Path) -> None:
    index = (made / "index.md").read_text(encoding="utf-8")
    assert "![Published accuracies and ours, a line for each of the rows below](published.svg)" in index
    noise = [line for line in index.splitlines() if line.startswith(("| b35c cosine |", "| b35c step |"))]
    assert [line.rpartition("] ")[2] for line in noise] == ["| 3 |", "| 3 |"]
    assert "[lr_scheduler](runs/lr_scheduler.md)" in index
    assert "(n=3)" in next(line for line in index.splitlines() if line.startswith("| cosine | test accuracy | 91.91%"))
    page = (made / "runs" / "lr_scheduler.md").read_text(encoding="utf-8")
    assert "[lr_scheduler.jsonl.gz](lr_scheduler.jsonl.gz)" in page
    assert "(../../reports.md#" in page


def test_the_command_for_the_index_writes_the_same_pages(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent, tmp_path / "docs")
    results = tmp_path / "docs" / "results"
    pages = [results / "index.md", results / "claims.md"]
    before = [page.read_bytes() for page in pages]
    assert run_here(["report", "index", "--runs", str(tmp_path / "runs"), "--out", str(results)]) == 0
    assert [page.read_bytes() for page in pages] == before
