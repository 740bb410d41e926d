"""Sheets of a data set: some images of each class, or one of each with its augmented versions."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F
from torchvision.utils import make_grid

from trainer.config.augment import Augment
from trainer.data.batches import TrainingBatches
from trainer.data.drawn import drawn_channels, one_line
from trainer.data.images import ImageSet
from trainer.data.steps import Steps
from trainer.files import disk_errors, make_folder, written_whole

GAP = 2  # pixels between images, before they are enlarged
TILE = 64  # images are enlarged by the whole number that brings them nearest to this many pixels


def contact_sheet(images: Tensor, labels: Tensor, class_names: Sequence[str], *, per_class: int = 10) -> Image.Image:
    """Return the first `per_class` of [N, C, H, W] uint8 in each of K classes, a row per class with its name."""
    rows = torch.cat([_row(images[(labels == k).nonzero()[:per_class, 0]], per_class) for k in range(len(class_names))])
    return _sheet(rows, class_names)


def augmented_sheet(image_set: ImageSet, augment: Augment, *, versions: int = 9, seed: int = 0) -> Image.Image:
    """Return the first image of each class, followed by its versions in the first epochs of training."""
    labels = image_set.train.labels
    split = image_set.train.select(torch.cat([(labels == k).nonzero()[:1, 0] for k in range(image_set.num_classes)]))
    batches = TrainingBatches(
        split,
        augment,
        steps=Steps(len(split), len(split)),
        seed=seed,
        num_classes=image_set.num_classes,
        mean=image_set.mean,
        std=image_set.std,
    )
    columns = [split.images]
    for epoch in range(versions):
        images, _ = next(batches.epoch(epoch))
        shown = images[batches.order(epoch).argsort()].clamp(0, 255).to(torch.uint8)
        columns.append(F.interpolate(shown, size=split.images.shape[-2:]))  # as large as the others, pixel by pixel
    names = [image_set.class_names[k] for k in split.labels.tolist()]
    return _sheet(torch.stack(columns, dim=1).flatten(0, 1), names)


def write_preview(
    image_set: ImageSet, path: Path, augment: Augment | None = None, *, per_class: int = 10, seed: int = 0
) -> None:
    """Write a sheet of training images to `path` as PNG. Raises DiskError.

    It shows `per_class` images of each class, or with `augment` one of each and its augmented versions.
    """
    split = image_set.train
    if augment:
        sheet = augmented_sheet(image_set, augment, versions=per_class - 1, seed=seed)
    else:
        sheet = contact_sheet(split.images, split.labels, image_set.class_names, per_class=per_class)
    make_folder(path.parent)
    with disk_errors(path), written_whole(path) as file:
        sheet.save(file, format="PNG")


def _sheet(images: Tensor, names: Sequence[str]) -> Image.Image:
    """Draw [R * L, C, H, W] uint8 in R rows, each with its name on the left."""
    names = [one_line(name) for name in names]
    grid = make_grid(
        drawn_channels(images), nrow=len(images) // len(names), padding=GAP, pad_value=255
    )  # [3, R(H+2)+2, L(W+2)+2]
    scale = max(1, round(TILE / images.shape[-1]))
    pixels = Image.fromarray(grid.permute(1, 2, 0).numpy())
    pixels = pixels.resize((pixels.width * scale, pixels.height * scale), Image.Resampling.NEAREST)

    row = (images.shape[-2] + GAP) * scale
    font = ImageFont.load_default(size=min(row // 2, 18))
    margin = max(int(font.getlength(name)) for name in names) + 8 * GAP
    sheet = Image.new("RGB", (margin + pixels.width, pixels.height), "white")
    sheet.paste(pixels, (margin, 0))
    draw = ImageDraw.Draw(sheet)
    for k, name in enumerate(names):
        draw.text((margin - 4 * GAP, GAP * scale + (k + 0.5) * row), name, fill="black", font=font, anchor="rm")
    return sheet


def _row(images: Tensor, length: int) -> Tensor:
    """Fill [n <= length, C, H, W] up to [length, C, H, W] with white images."""
    return torch.cat([images, images.new_full((length - len(images), *images.shape[1:]), 255)])
