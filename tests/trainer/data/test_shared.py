"""Images that several processes map from one file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.data.crops import Crops
from trainer.data.shared import FOLDER, one_copy, shared_images

DRAW = torch.Generator().manual_seed(3)
IMAGES = torch.randint(256, (6, 4, 5, 3), dtype=torch.uint8, generator=DRAW).permute(0, 3, 1, 2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


def halves(out: Tensor) -> None:
    out.copy_(IMAGES // 2)


def never(out: Tensor) -> None:
    raise AssertionError("it is there already")


def test_the_second_maps_what_the_first_has_written(folder: Path) -> None:
    first = one_copy(IMAGES, "halves", IMAGES.shape, halves)
    assert torch.equal(one_copy(IMAGES.contiguous(), "halves", IMAGES.shape, never), first)
    assert torch.equal(first, IMAGES // 2)
    assert [path.stat().st_size for path in folder.iterdir()] == [IMAGES.numel()]


def test_other_images_and_what_is_made_otherwise_are_other_files(folder: Path) -> None:
    one_copy(IMAGES, "halves", IMAGES.shape, halves)
    one_copy(IMAGES, "others", IMAGES.shape, halves)
    one_copy(IMAGES + 1, "halves", IMAGES.shape, halves)
    assert len([*folder.iterdir()]) == 3


def test_files_that_were_not_used_for_long_are_removed(folder: Path) -> None:
    """Before: with a validation set each seed left another 430 MB of CIFAR-10 until the sweep ended."""
    first = one_copy(IMAGES, "0", IMAGES.shape, halves)
    for made in "12345":
        one_copy(IMAGES, made, IMAGES.shape, halves)
        one_copy(IMAGES, "1", IMAGES.shape, never if made != "1" else halves)
    assert len([*folder.iterdir()]) == 4
    one_copy(IMAGES, "1", IMAGES.shape, never)
    assert torch.equal(first, IMAGES // 2)  # who has it keeps it


def test_who_writes_into_it_changes_nobody_else_s(folder: Path) -> None:
    one_copy(IMAGES, "halves", IMAGES.shape, halves).zero_()
    assert torch.equal(one_copy(IMAGES, "halves", IMAGES.shape, never), IMAGES // 2)


def test_what_a_killed_process_has_left_is_written_again(folder: Path) -> None:
    one_copy(IMAGES, "halves", IMAGES.shape, halves)
    (file,) = folder.iterdir()
    file.rename(file.with_suffix(".part")).write_bytes(b"half")
    assert torch.equal(one_copy(IMAGES, "halves", IMAGES.shape, halves), IMAGES // 2)
    assert [*folder.iterdir()] == [file]


@pytest.mark.parametrize("lost", ["full", "gone", "not asked"])
def test_without_room_or_folder_a_process_keeps_its_own(
    folder: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    if lost == "full":
        monkeypatch.setattr(os, "posix_fallocate", full)
    elif lost == "gone":
        monkeypatch.setenv(FOLDER, str(folder / "gone"))
    else:
        monkeypatch.delenv(FOLDER)
    assert torch.equal(one_copy(IMAGES, "halves", IMAGES.shape, halves), IMAGES // 2)
    assert not [*folder.iterdir()]


def test_the_files_are_gone_after_the_sweep() -> None:
    with shared_images() as env:
        folder = Path(env[FOLDER])
        (folder / "images").write_bytes(b"1")
    assert not folder.exists()


def test_crops_are_those_of_a_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = torch.arange(4), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 2, 3]), torch.tensor([3, 2, 1, 0])
    for mode in ("zero", "reflect"):
        monkeypatch.delenv(FOLDER, raising=False)
        alone = Crops(IMAGES, 2, mode, mirrored=True)
        monkeypatch.setenv(FOLDER, str(tmp_path))
        for _ in range(2):
            shared = Crops(IMAGES, 2, mode, mirrored=True)
            assert torch.equal(shared.gather(shared.places(*places)), alone.gather(alone.places(*places)))
    assert len([*tmp_path.iterdir()]) == 2


def test_those_that_begin_at_once_write_it_once(folder: Path) -> None:
    filled: list[int] = []

    def fill(out: Tensor) -> None:
        filled.append(1)
        halves(out)

    with ThreadPoolExecutor(3) as pool:
        found = [*pool.map(lambda _: one_copy(IMAGES, "halves", IMAGES.shape, fill), range(3))]
    assert len(filled) == 1 and all(torch.equal(each, IMAGES // 2) for each in found)
