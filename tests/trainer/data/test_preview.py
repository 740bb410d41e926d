"""Sheets of a data set: augmented images, images of any number of channels, names of any form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run_here
from PIL import Image

from trainer.config.augment import (
    Augment,
)
from trainer.data.images import ImageSet, Split
from trainer.data.preview import write_preview


def test_the_preview_shows_an_image_of_each_class_beside_its_augmented_versions(tmp_path: Path) -> None:
    images = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    split = Split(images, torch.tensor([2, 0, 0, 1, 1, 2]))
    image_set = ImageSet("some", ("a", "b", "c"), (0.5, 0.4, 0.3), (0.5, 0.4, 0.3), split, split)
    augment = Augment.model_validate({"crop": {"padding": 0}, "flip": {"mode": "alternating"}})
    write_preview(image_set, tmp_path / "sheet.png", augment, per_class=4)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = torch.from_numpy(np.array(sheet)).permute(2, 0, 1)
    pitch = (32 + 2) * 2  # pixels are doubled, and two lie between images
    left = pixels.shape[2] - (4 * pitch + 4)
    for row, first in enumerate((1, 3, 0)):
        tiles = [pixels[:, 4 + row * pitch :, 4 + left + column * pitch :][:, :64:2, :64:2] for column in range(4)]
        assert torch.equal(tiles[0], images[first])
        assert torch.equal(tiles[1], tiles[3]) and torch.equal(tiles[2], tiles[1].flip(-1))
        assert torch.equal(tiles[1], images[first]) or torch.equal(tiles[2], images[first])
    mixed = Augment.model_validate({"mix": {"name": "mixup"}, "erasing": {"name": "cutout"}})
    write_preview(image_set, tmp_path / "sheet.png", mixed)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7])
def test_other_channels_are_drawn_as_the_first_three_or_as_the_first_in_grey(channels: int, tmp_path: Path) -> None:
    """Before: a traceback of Pillow's for five channels or more, and two or four were taken for grey or for ink."""
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(256, (2, channels, 32, 32), dtype=torch.uint8, generator=draw)
    split = Split(images, torch.tensor([0, 1]))
    image_set = ImageSet("some", ("a", "b"), (0.5,) * channels, (0.3,) * channels, split, split)
    write_preview(image_set, tmp_path / "sheet.png", per_class=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
        pixels = torch.from_numpy(np.array(sheet)).permute(2, 0, 1)
    left = pixels.shape[2] - ((32 + 2) * 2 + 4)
    shown = pixels[:, 4:, 4 + left :][:, :64:2, :64:2]
    assert torch.equal(shown, images[0, :3] if channels >= 3 else images[0, :1].expand(3, -1, -1))


@pytest.mark.parametrize(
    ("channels", "said"),
    [(2, "note: of 2 channels, the first is drawn in grey\n"), (3, ""),
     (5, "note: of 5 channels, the first three are drawn as red, green and blue\n")],
)  # fmt: skip
def test_the_command_says_which_channels_it_draws(
    channels: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["import torch", "", "def noise():", f"    images = torch.zeros(4, {channels}, 8, 8, dtype=torch.uint8)"]
    Path("some.py").write_text("\n".join([*lines, "    return [(images, torch.tensor([0, 1, 0, 1]))] * 2\n"]))
    assert run_here(["preview", "data", "data.name=some.py:noise"]) == 0
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("out", [".", "x.svg", "sheet"])
def test_a_sheet_is_written_as_a_png_alone(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: a traceback for a folder, and a PNG called x.svg."""
    monkeypatch.chdir(tmp_path)
    assert run_here(["preview", "data", "--data", "shapes10", "--out", out]) == 2
    assert capsys.readouterr().err == f"error: --out: {out}: a sheet of images is written as .png\n"
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_line_break_is_drawn_in_one_line(tmp_path: Path) -> None:
    """Before: a traceback, because Pillow does not measure several lines."""
    split = Split(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    sheets = [tmp_path / "broken.png", tmp_path / "whole.png"]
    for path, name in zip(sheets, ("a\r\n long\nname\n", "a long name"), strict=True):
        write_preview(ImageSet("some", (name, "b"), (0.5,) * 3, (0.3,) * 3, split, split), path, per_class=2)
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
