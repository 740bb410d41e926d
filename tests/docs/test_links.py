"""Links between the pages, and what docs/reports.md says of the five reports."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXPERIMENTS = yaml.safe_load((ROOT / "trainer" / "published.yaml").read_text(encoding="utf-8"))["experiments"]
REPORTS = ["b35c", "f2d6", "dfbc", "a0b5", "44da"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_that_names_a_report_links_to_its_section(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(rf"\b(?:{'|'.join(REPORTS)})\b", text)) if page.name != "reports.md" else set()
    assert named <= set(re.findall(r"reports\.md#(\w+)\)", text))


@pytest.mark.parametrize("report", REPORTS)
def test_the_section_of_a_report_names_just_the_sweeps_that_answer_it(report: str) -> None:
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {report}\n")[2].partition("\n## ")[0]
    answers = {experiment["sweep"] for experiment in EXPERIMENTS if experiment["id"].startswith(report)}
    assert set(re.findall(r"\[`(\w+)`\]", section)) == answers
    row = next(line for line in text.splitlines() if line.startswith(f"| [{report}]"))
    experiments = sum(experiment["id"].startswith(report) for experiment in EXPERIMENTS)
    assert row.endswith(f"| {experiments} | {len(answers)} |")


def test_the_page_on_reports_counts_experiments_and_names_every_sweep() -> None:
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    sweeps = {path.stem for path in (ROOT / "sweeps").glob("*.yaml")}
    answering = {experiment["sweep"] for experiment in EXPERIMENTS}
    assert f"{len(EXPERIMENTS)}\nexperiments, which {len(answering)} of the files" in text
    assert set(re.findall(r"\(\.\./sweeps/(\w+)\.yaml\)", text)) == sweeps
