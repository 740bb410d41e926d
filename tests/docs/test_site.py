"""The docs site: its links resolve, it has search, and it takes nothing from a network."""

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from make_site import ROOT, build_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build_site(folder)
    return folder


def targets(page: Path, pattern: str) -> list[str]:
    return re.findall(pattern, page.read_text(encoding="utf-8"))


def test_every_link_and_picture_of_the_site_leads_to_a_file_and_a_heading(site: Path) -> None:
    broken: list[str] = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links are those of the site's root
            continue
        for link in targets(page, r'(?:href|src)="([^"]+)"'):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = page.parent / unquote(parts.path) if parts.path else page
            anchor = unicodedata.normalize("NFC", unquote(parts.fragment))
            whole = target.exists() and (
                not anchor or target.suffix != ".html" or f'id="{anchor}"' in target.read_text(encoding="utf-8")
            )
            if not whole:
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)


def test_the_site_has_every_page_and_its_search_knows_them(site: Path) -> None:
    pages = ["README.md", "CHANGELOG.md", *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
    index = (site / "search.js").read_text(encoding="utf-8")
    for page in pages:
        html = "index.html" if page == "README.md" else page.replace(".md", ".html")
        assert (site / html).is_file()
        assert f'"{html}' in index, page


def test_no_page_loads_a_script_a_style_or_a_picture_from_a_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not targets(page, r'<(?:script|img|iframe)[^>]*src="(https?://[^"]+)"'), page
        assert not targets(page, r'<link[^>]*rel="?(?:stylesheet|preconnect)"?[^>]*href="(https?://[^"]+)"'), page


def test_the_menu_names_every_page() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    of_archives = {*(ROOT / "docs/results/runs").glob("*.md")}  # docs/results/index.md is their menu
    for path in {*(ROOT / "docs").rglob("*.md")} - of_archives:
        assert f" {path.relative_to(ROOT)}\n" in menu
