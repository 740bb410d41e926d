"""Images on the device that batches are gathered from: padded, mirrored, of one side or another."""

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.data.shared import one_copy

_AT_ONCE = 5000  # images that are padded or resized at once: a copy, or floats, of a whole large set may not fit


class Crops:
    """Every crop of [N, C, H, W] uint8 images and of their mirror images, at shifts of 0 to 2p pixels each way."""

    def __init__(self, images: Tensor, padding: int, mode: str, *, mirrored: bool) -> None:
        count, channels, self.height, self.width = images.shape
        sides = (self.height + 2 * padding, self.width + 2 * padding)

        def fill(stored: Tensor) -> None:  # in place, without a copy for each step: it is the largest tensor of a run
            for few, place in zip(images.split(_AT_ONCE), stored.split(_AT_ONCE), strict=True):
                place[:, 0] = pad(few, padding, mode).permute(0, 2, 3, 1)
                if mirrored:
                    place[:, 1] = place[:, 0].flip(2)

        made = f"crops {images.shape} {padding} {mode} {mirrored}"
        stored = one_copy(images, made, (count, 1 + mirrored, *sides, channels), fill)
        self._image, self._mirrored, self._row, self._column = stored.stride()[:4]  # bytes from one to the next
        self._down = torch.arange(self.height, device=images.device) * self._row  # [H]
        # A row of pixels starts at every byte. `index_select` copies a row at once, an advanced index byte by byte.
        length = self.width * channels
        self._rows = stored.as_strided((stored.numel() - length + 1, length), (1, 1))

    def places(self, image: Tensor, mirrored: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return where the crops at (image, 0 or 1, row, column) begin, [N] int64 all of them."""
        return image * self._image + mirrored * self._mirrored + row * self._row + column * self._column

    def gather(self, places: Tensor) -> Tensor:
        """Return the crops [B, C, H, W] at `places` [B], channels last in memory."""
        rows = self._rows.index_select(0, (places.unsqueeze(1) + self._down).flatten())
        return rows.view(len(places), self.height, self.width, -1).permute(0, 3, 1, 2)


def pad(images: Tensor, padding: int, mode: str) -> Tensor:
    """Return uint8 images with `padding` more pixels on each side: black (`zero`) or mirrored (`reflect`)."""
    if not padding:
        return images
    sides = (padding,) * 4
    return F.pad(images, sides) if mode == "zero" else F.pad(images, sides, mode="reflect")


def resized(images: Tensor, side: int) -> Tensor:
    """Return [N, C, H, W] uint8 as [N, C, side, side] uint8: the whole image, bilinear with antialiasing."""
    if images.shape[-2:] == (side, side):
        return images
    parts = [
        F.interpolate(part.float(), size=(side, side), mode="bilinear", antialias=True).round_().to(torch.uint8)
        for part in images.split(_AT_ONCE)
    ]
    return torch.cat(parts)
