"""Folders that are either complete or absent."""

import contextlib
from pathlib import Path

import pytest

from trainer.files import folder_written_whole


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    with folder_written_whole(tmp_path / "a") as folder:
        (folder / "file").write_text("1")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "file").read_text() == "1" and [*tmp_path.iterdir()] == [tmp_path / "a"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), folder_written_whole(tmp_path / "a") as folder:
        (folder / "file").write_text("1")
        raise ZeroDivisionError
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_appeared_meanwhile_is_left_alone(tmp_path: Path) -> None:
    def write() -> None:
        with folder_written_whole(tmp_path / "a") as folder:
            (folder / "file").write_text("1")
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "theirs").write_text("2")

    with pytest.raises(OSError, match="a"):
        write()
    assert (tmp_path / "a" / "theirs").read_text() == "2" and [*tmp_path.iterdir()] == [tmp_path / "a"]
