"""A contact sheet of a data set: what the network will see, a row for each class."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from trainer.data.images import ImageSet
from trainer.files import disk_errors, written_whole

GAP = 2  # pixels between images, before they are enlarged
TILE = 64  # images are enlarged by the whole number that brings them nearest to this many pixels


def contact_sheet(images: Tensor, labels: Tensor, class_names: Sequence[str], *, per_class: int = 10) -> Image.Image:
    """The first `per_class` of [N, C, H, W] uint8 of each of K classes, the class's name on the left of its row."""
    rows = torch.cat([_row(images[(labels == k).nonzero()[:per_class, 0]], per_class) for k in range(len(class_names))])
    grid = make_grid(rows, nrow=per_class, padding=GAP, pad_value=255)  # [3, K(H+2)+2, per_class(W+2)+2]
    scale = max(1, round(TILE / images.shape[-1]))
    pixels = Image.fromarray(grid.permute(1, 2, 0).numpy())
    pixels = pixels.resize((pixels.width * scale, pixels.height * scale), Image.Resampling.NEAREST)

    row = (images.shape[-2] + GAP) * scale
    font = ImageFont.load_default(size=min(row // 2, 18))
    margin = max(int(font.getlength(name)) for name in class_names) + 8 * GAP
    sheet = Image.new("RGB", (margin + pixels.width, pixels.height), "white")
    sheet.paste(pixels, (margin, 0))
    draw = ImageDraw.Draw(sheet)
    for k, name in enumerate(class_names):
        draw.text((margin - 4 * GAP, GAP * scale + (k + 0.5) * row), name, fill="black", font=font, anchor="rm")
    return sheet


def write_preview(image_set: ImageSet, path: Path, per_class: int = 10) -> None:
    """Write the contact sheet of the training images to `path` as PNG. Raises DiskError where it cannot."""
    split = image_set.train
    sheet = contact_sheet(split.images, split.labels, image_set.class_names, per_class=per_class)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            sheet.save(file, format="PNG")


def _row(images: Tensor, length: int) -> Tensor:
    """[n <= length, C, H, W] -> [length, C, H, W], white where a class has fewer images."""
    return torch.cat([images, images.new_full((length - len(images), *images.shape[1:]), 255)])
