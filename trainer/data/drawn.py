"""Which channels of images are drawn, and names in one line: the rules of every sheet of pictures."""

from torch import Tensor


def drawn_channels(images: Tensor) -> Tensor:
    """Return [N, C, H, W] as [N, 3, H, W]: the first three channels as colours. Of one or two, the first in grey."""
    return images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)


def channels_note(channels: int) -> str | None:
    """Return which channels of an image are drawn, in a line. None if all are."""
    if channels in (1, 3):
        return None
    which = "first is drawn in grey" if channels < 3 else "first three are drawn as red, green and blue"
    return f"of {channels} channels, the {which}"


def one_line(text: str) -> str:
    """Return a text that may have line breaks, such as the name of a class, in one line. Pillow measures no others."""
    return " ".join(text.split())
