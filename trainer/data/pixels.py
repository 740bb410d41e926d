"""Image files, of any format and size, as pixels: decoded once by many threads, and cached beside their data set."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainer.errors import DataError
from trainer.files import written_whole

FORMAT = 1  # raised when the same files would be decoded to other pixels
SPLITS = ("train", "test")

Encoded = tuple[str, Path | bytes]
"""Name of an image in a message, and its file or the bytes of one."""


def cached(kind: str, cache: Path, fingerprint: str, decode: Callable[[], list[Tensor]]) -> list[Tensor]:
    """Return uint8 [N, 3, S, S] of train and of test: those in `cache` if its fingerprint is this one, or else decoded.

    Decoded pixels are kept there for the next start. `kind` is the `data.name` that messages begin with.
    """
    pixels = _recall(cache, fingerprint, kind)
    if pixels is None:
        pixels = decode()
        _remember(cache, fingerprint, pixels, kind)
    return pixels


def fingerprint(root: Path, paths: Iterable[Path], *settings: object) -> str:
    """Return a hash that changes with any file's name, length or time of change, and with the decoding."""
    listed = [(path.relative_to(root).as_posix(), *_stamp(path)) for path in paths]
    return hashlib.sha256(json.dumps([FORMAT, *settings, listed]).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # such as a broken link, which decoding will name
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _recall(cache: Path, fingerprint: str, kind: str) -> list[Tensor] | None:
    """Return the cached pixels of these files, if there are any."""
    try:
        kept = torch.load(cache, weights_only=True)
        return [kept[split] for split in SPLITS] if kept["fingerprint"] == fingerprint else None
    except OSError:
        return None
    except Exception as error:  # whatever is wrong with the cache, the images are still there
        print(f"{kind}: {cache} is damaged ({type(error).__name__})", file=sys.stderr)
        return None


def _remember(cache: Path, fingerprint: str, pixels: list[Tensor], kind: str) -> None:
    """Write the pixels beside the images. If that fails, they are decoded again next time."""
    # A clone, since saving one part of a split tensor would save the storage of the whole.
    kept = {"fingerprint": fingerprint} | {split: part.clone() for split, part in zip(SPLITS, pixels, strict=True)}
    try:
        with written_whole(cache) as file:
            torch.save(kept, file)
    except (OSError, RuntimeError) as error:
        print(f"{kind}: {cache} cannot be written, so each start decodes the images again: {error}", file=sys.stderr)


def decode_all(kind: str, root: Path, splits: Sequence[Sequence[Encoded]], size: int) -> list[Tensor]:
    """Return uint8 [N, 3, S, S] for each split. Raises one DataError for the unreadable images of all splits.

    `kind` is the `data.name` that messages begin with.
    """
    images = [image for split in splits for image in split]
    print(f"{kind}: decoding {len(images)} images of {root}", file=sys.stderr)
    pixels = np.empty((len(images), 3, size, size), np.uint8)

    def decode(n: int) -> str | None:
        name, content = images[n]
        try:
            pixels[n] = _decode(content if isinstance(content, Path) else BytesIO(content), size)
        except UnidentifiedImageError:
            return f"{kind}: {name} is not an image that Pillow knows"
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            return f"{kind}: {name} cannot be read: {error}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes and resizes without the GIL
        problems = [problem for problem in pool.map(decode, range(len(images))) if problem]
    if problems:
        raise DataError(*problems)
    return list(torch.from_numpy(pixels).split([len(split) for split in splits]))


def _decode(file: Path | BytesIO, size: int) -> NDArray[np.uint8]:
    """Return [3, S, S], upright, red green blue.

    The sides are scaled separately: a crop could cut the object off, and bars are not part of the image.
    """
    with Image.open(file) as image:
        image.draft(None, (2 * size, 2 * size))  # decodes a large JPEG at a half, quarter or eighth: far faster
        bits = 16 if image.mode.startswith("I;16") or image.format == "PPM" else 32  # a PGM's levels fill 16 bits
        upright = _to_rgb(ImageOps.exif_transpose(image), bits)
    return np.asarray(upright.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def _to_rgb(image: Image.Image, bits: int) -> Image.Image:
    """Return RGB. Transparent parts become white. Greys of 16 bits keep their upper byte. Pillow would clip them."""
    if image.mode.startswith("I") and bits == 16:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} (32 bits a pixel) have no agreed white")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")
