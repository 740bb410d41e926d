"""The sheet of augmented images."""

from pathlib import Path

import numpy as np
import torch
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
