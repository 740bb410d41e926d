"""Checkpoints are whole or absent, and a damaged one is one clear line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainer.errors import CheckpointError, DiskError
from trainer.runs.checkpoint import load_checkpoint, save_checkpoint


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"w": torch.arange(3), "n": {"x": [1, None, "s"]}})
    back = load_checkpoint(path)
    assert torch.equal(back["w"], torch.arange(3))
    assert back["n"] == {"x": [1, None, "s"]}
    assert [each.name for each in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("keep", [0, 10, 300, -1])
def test_a_truncated_checkpoint_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"w": torch.arange(1000)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"a\.pt: damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
    torch.save({"w": 1}, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of this trainer"):
        load_checkpoint(tmp_path / "foreign.pt")


def test_a_failed_write_leaves_the_old_file_and_no_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"n": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskError, match="No space left on device"):
        save_checkpoint(path, {"n": 2})
    assert load_checkpoint(path)["n"] == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.pt"]


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "a.pt", {"n": 1})
    monkeypatch.setattr(Path, "open", _raise(PermissionError(13, "Permission denied")))
    with pytest.raises(CheckpointError, match=r"a\.pt: cannot be read: Permission denied$"):
        load_checkpoint(tmp_path / "a.pt")


def test_memory_that_runs_out_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "a.pt", {"n": 1})
    monkeypatch.setattr("torch.load", _raise(MemoryError()))
    with pytest.raises(MemoryError):
        load_checkpoint(tmp_path / "a.pt")


def test_a_folder_in_place_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read: Is a directory$"):
        load_checkpoint(tmp_path)


def _raise(error: BaseException) -> Callable[..., None]:
    def load(*_: object, **__: object) -> None:
        raise error

    return load
