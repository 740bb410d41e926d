"""A folder for own parts."""

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_folder: Path) -> Path:
    """A folder with two classes of 8x8 pixels in it: two steps an epoch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(image_folder)
    return tmp_path
