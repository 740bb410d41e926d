"""Sheets of pictures with captions. torchvision's make_grid makes tiles. Pillow's font draws ASCII text only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F
from torchvision.utils import make_grid

from trainer.data.drawn import drawn_channels
from trainer.files import disk_errors, written_whole

_GAP, _MARGIN = 2, 16  # pixels between tiles, and around columns
_NARROWEST = 320  # width of a sheet, so that its note fits
_TITLE, _CAPTION = 17, 13  # font sizes
_QUIET = "#595959"
_TILE = 128  # side of a picture
_GRID = 272  # width of a grid of maps
_HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))  # inferno, 6 of 256


@dataclass(frozen=True)
class Cell:
    caption: str  # a line
    picture: Image.Image


@dataclass(frozen=True)
class Column:
    """The pictures of one network. Its texts are a line each."""

    title: str
    subtitle: str
    cells: Sequence[Cell]


def sheet(columns: Sequence[Column], note: str) -> Image.Image:
    """Draw columns side by side, with their cells in rows of one height, and a note below."""
    title, caption = _font(_TITLE), _font(_CAPTION)
    rows = max(len(column.cells) for column in columns)
    widths = [
        max(
            title.getlength(column.title),
            *(caption.getlength(text) for text in (column.subtitle, *(cell.caption for cell in column.cells))),
            *(cell.picture.width for cell in column.cells),
        )
        for column in columns
    ]
    heights = [max(c.cells[r].picture.height for c in columns if r < len(c.cells)) for r in range(rows)]
    head, label = 2 * _TITLE + _CAPTION, 2 * _CAPTION
    width = max(_NARROWEST, int(_MARGIN + sum(w + _MARGIN for w in widths)))
    lines = _wrapped(note, caption, width - 2 * _MARGIN)
    height = _MARGIN + head + sum(h + label + _MARGIN // 2 for h in heights) + len(lines) * (_CAPTION + 5) + _MARGIN
    whole = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(whole)
    left = _MARGIN
    for column, column_width in zip(columns, widths, strict=True):
        draw.text((left, _MARGIN), column.title, fill="black", font=title)
        draw.text((left, _MARGIN + _TITLE + 6), column.subtitle, fill=_QUIET, font=caption)
        top = _MARGIN + head
        for cell, row_height in zip(column.cells, heights, strict=False):
            draw.text((left, top + 4), cell.caption, fill=_QUIET, font=caption)
            whole.paste(cell.picture, (left, top + label))
            top += row_height + label + _MARGIN // 2
        left += int(column_width) + _MARGIN
    for i, line in enumerate(reversed(lines), start=1):
        draw.text((_MARGIN, height - _MARGIN // 2 - i * (_CAPTION + 5)), line, fill=_QUIET, font=caption)
    return whole


def contact_sheet(images: Tensor, captions: Sequence[Sequence[str]], *, columns: int) -> Image.Image:
    """Draw images [N, C, H, W] uint8, each with the lines of its caption below."""
    font = _font(_CAPTION)
    widest = max(font.getlength(line) for caption in captions for line in caption)
    under = max(map(len, captions)) * (_CAPTION + 4) + 6
    tiles = _enlarged(drawn_channels(images), _TILE)
    side = max(0, int(widest) + 8 - tiles.shape[-1])
    tiles = F.pad(tiles, (side // 2, side - side // 2, 0, under), value=255)
    grid = make_grid(tiles, nrow=min(columns, len(tiles)), padding=4 * _GAP, pad_value=255)
    whole = as_picture(grid)
    draw = ImageDraw.Draw(whole)
    step_x, step_y = tiles.shape[-1] + 4 * _GAP, tiles.shape[-2] + 4 * _GAP
    for i, caption in enumerate(captions):
        row, column = divmod(i, min(columns, len(tiles)))
        middle, top = 4 * _GAP + column * step_x + tiles.shape[-1] / 2, (row + 1) * step_y - under + 4
        for n, line in enumerate(caption):
            draw.text((middle, top + n * (_CAPTION + 4)), line, fill="black", font=font, anchor="ma")
    return whole


def photograph(image: Tensor) -> Image.Image:
    """Draw an image [C, H, W] uint8, enlarged."""
    return as_picture(_enlarged(drawn_channels(image[None]), _TILE)[0])


def heat_over(image: Tensor, heat: Tensor) -> Image.Image:
    """Draw an image [C, H, W] uint8 in grey below a map [H, W] >= 0 in colours, from black (0) to light yellow."""
    grey = drawn_channels(image[None])[0].float().mean(0)
    stops = torch.tensor(_HEAT, dtype=torch.float32)
    place = _scaled(heat[None], floor=0.0)[0] * (len(stops) - 1)
    lower = place.long().clamp(max=len(stops) - 2)
    colours = stops[lower] + (place - lower)[..., None] * (stops[lower + 1] - stops[lower])  # [H, W, 3]
    mixed = 0.45 * grey[..., None] + 0.55 * colours
    return photograph(mixed.permute(2, 0, 1).to(torch.uint8))


def map_grid(maps: Tensor) -> Image.Image:
    """Draw maps [F, h, w] in grey, each over its own range."""
    pixels = (255 * _scaled(maps)).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    return _grid(pixels, 4, _GRID // 4 - _GAP)


def filter_grid(weights: Tensor) -> Image.Image:
    """Draw filters [F, C, h, w], each over the range of the channels that are drawn, row by row."""
    pixels = (255 * _scaled(drawn_channels(weights))).to(torch.uint8)
    return _grid(pixels, min(16, len(pixels)), 40)


def write_png(picture: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all. Raises DiskError."""
    with disk_errors(path), written_whole(path) as file:
        picture.save(file, format="PNG", optimize=True)


def as_picture(pixels: Tensor) -> Image.Image:
    """Return a picture of pixels [3, H, W] uint8."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _grid(pixels: Tensor, columns: int, side: int) -> Image.Image:
    grown = F.interpolate(pixels.float(), size=(side, side), mode="nearest-exact").to(torch.uint8)
    return as_picture(make_grid(grown, nrow=columns, padding=_GAP, pad_value=255))


def _scaled(values: Tensor, *, floor: float | None = None) -> Tensor:
    """Scale each of [F, ...] to [0, 1], from its lowest value or `floor` to its highest. Equal or not finite is 0."""
    flat = values.flatten(1)
    low = flat.amin(1) if floor is None else flat.new_full((len(flat),), floor)
    shape = (-1,) + (1,) * (values.ndim - 1)
    span = (flat.amax(1) - low).view(shape)
    return ((values - low.view(shape)) / span).nan_to_num(0.0, 0.0, 0.0).clamp(0, 1)


def _enlarged(images: Tensor, side: int) -> Tensor:
    """Enlarge by the integer that gets nearest to `side` pixels, so that every pixel stays a square."""
    scale = max(1, round(side / images.shape[-1]))
    return images.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels contain FreeType
    return font
