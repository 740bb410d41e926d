"""Build the docs site: `make site`. You can open it from its folder, and its search needs no network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
FILES = ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")
FOLDERS = ("docs", "models", "sweeps", "tests", "trainer")
SHIM = re.compile(r"https://[^\"]*/iframe-worker/shim")  # the one script that zensical takes from a network


def build_site(site: Path) -> None:
    """Write the site to the folder `site`. Raises CalledProcessError if a link leads nowhere.

    Pages and code keep their places in the repository, so each link works on the site as it does in a checkout.
    """
    with TemporaryDirectory() as name:
        pages = Path(name) / "pages"
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, pages / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in FILES:
            shutil.copy(ROOT / file, pages)
        shutil.copy(ROOT / "mkdocs.yml", name)
        subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=name, check=True)
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(Path(name) / "site", site)
    for page in site.rglob("*.html"):
        own = "../" * (len(page.relative_to(site).parts) - 1) + "docs/site/iframe-worker.js"
        page.write_text(SHIM.sub(own, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    build_site(ROOT / "site")
