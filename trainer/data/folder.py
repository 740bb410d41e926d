"""`folder`: images of any format and size in train/CLASS/ and test/CLASS/, decoded once and cached beside them."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainer.data.images import ImageSet, Split, mean_and_std
from trainer.errors import DataError
from trainer.files import written_whole

FORMAT = 1  # raised when the same files would be decoded to other pixels
SPLITS = ("train", "test")

_Files = dict[str, list[Path]]  # class name -> its files, both sorted


def read_folder(root: Path, image_size: int) -> ImageSet:
    """Read all images below `root` as uint8 [N, 3, S, S] with S = `image_size`, classes and files in sorted order.

    Folders inside a class folder belong to the class. Names that begin with a dot are ignored. `mean` and `std` are
    those of train. Raises DataError for another layout, for fewer than two classes, for classes that differ between
    train and test, and for files that are not readable images.
    """
    root = root.expanduser().absolute()
    train, test = files = _list_files(root)
    fingerprint = _fingerprint(root, [path for part in files for path in _paths(part)], image_size)
    cache = root / f".cifar-sweeps-{image_size}.pt"
    pixels = _recall(cache, fingerprint)
    if pixels is None:
        pixels = _decode_all(root, [_paths(train), _paths(test)], image_size)
        _remember(cache, fingerprint, pixels)
    splits = [Split(images, _labels(part)) for images, part in zip(pixels, files, strict=True)]
    return ImageSet("folder", tuple(map(_text_of, train)), *mean_and_std(pixels[0]), *splits)


# ---- which files ----------------------------------------------------------------------------------------------------


def _list_files(root: Path) -> tuple[_Files, _Files]:
    """Return the files of train and of test. Raises DataError with everything that is wrong in the layout."""
    if absent := [split for split in SPLITS if not _is_folder(root / split)]:
        raise DataError(
            f"folder: {root} has no folder {' and no folder '.join(absent)}; "
            f"expected are data.root/train/CLASS/* and data.root/test/CLASS/*{_right_root(root)}"
        )
    train, test = (
        {folder.name: _images_of(folder, above=(root, root / split)) for folder in _folders(root / split)}
        for split in SPLITS
    )
    problems = [
        f"folder: {path} belongs to no class; expected are {path.parent}/CLASS/*"
        for split in SPLITS
        for path in _entries(root / split)
        if not _is_folder(path)
    ]
    problems += [f"folder: class {name!r} is in train but not in test" for name in train if name not in test]
    problems += [f"folder: class {name!r} is in test but not in train" for name in test if name not in train]
    problems += [
        f"folder: {root / split / name} holds no images"
        for split, files in zip(SPLITS, (train, test), strict=True)
        for name in files
        if not files[name]
    ]
    if problems:
        raise DataError(*problems)
    if len(train) < 2:
        names = " and ".join(str(root / split) for split in SPLITS)
        count = f"only one class folder, {next(iter(train))!r}" if train else "no class folders"
        raise DataError(f"folder: {names} hold {count}; two or more classes are needed{_right_level(root, train)}")
    return train, test


def _right_root(root: Path) -> str:
    """Return which folder above or below `root` has train and test in it, if one has."""
    near = [root.parent, *(_folders(root) if _is_folder(root) else [])]
    right = [folder for folder in near if all(_is_folder(folder / split) for split in SPLITS)]
    return f"; did you mean data.root={right[0]}?" if right else ""


def _right_level(root: Path, names: Iterable[str]) -> str:
    """Return where the class folders seem to be, if they are a folder too deep."""
    deep = [root / SPLITS[0] / name for name in names]
    right = [folder for folder in deep if len(_folders(folder)) > 1]
    return f"; {right[0]} looks like the folder of classes: move what is in it up to {right[0].parent}" if right else ""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder: {folder} cannot be read: {error.strerror}") from error


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if _is_folder(path)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a folder that may not be entered
        return False


def _images_of(folder: Path, above: Iterable[Path]) -> list[Path]:
    """Return the files in a class folder and its folders, sorted. A link back to one of `above` is not followed."""
    return sorted(_walk(folder, {path.resolve() for path in above}))


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the files below `folder`. A real folder is read once, however many links lead to it."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for path in _entries(folder):
        if _is_folder(path):
            yield from _walk(path, seen)
        else:
            yield path


def _paths(files: _Files) -> list[Path]:
    return [path for paths in files.values() for path in paths]


def _text_of(name: str) -> str:
    """Return a file name as text that every file and screen can show, also in a locale without UTF-8.

    Bytes that are not UTF-8 are written out, such as `caf\\xe9`.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _labels(files: _Files) -> Tensor:
    """Return [N], the class of each of `_paths`."""
    return torch.arange(len(files)).repeat_interleave(torch.tensor([len(paths) for paths in files.values()]))


# ---- pixels ---------------------------------------------------------------------------------------------------------


def _decode_all(root: Path, splits: list[list[Path]], size: int) -> list[Tensor]:
    """Return uint8 [N, 3, S, S] for each split. Raises one DataError for the unreadable files of all splits."""
    paths = [path for split in splits for path in split]
    print(f"folder: decoding {len(paths)} images of {root}", file=sys.stderr)
    pixels = np.empty((len(paths), 3, size, size), np.uint8)

    def decode(n: int) -> str | None:
        try:
            pixels[n] = _decode(paths[n], size)
        except UnidentifiedImageError:
            return f"folder: {paths[n]} is not an image that Pillow knows"
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            return f"folder: {paths[n]} cannot be read: {error}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes and resizes without the GIL
        problems = [problem for problem in pool.map(decode, range(len(paths))) if problem]
    if problems:
        raise DataError(*problems)
    return list(torch.from_numpy(pixels).split([len(split) for split in splits]))


def _decode(path: Path, size: int) -> NDArray[np.uint8]:
    """Return [3, S, S], upright, red green blue.

    The sides are scaled separately: a crop could cut the object off, and bars are not part of the image.
    """
    with Image.open(path) as image:
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


# ---- cache ----------------------------------------------------------------------------------------------------------


def _fingerprint(root: Path, paths: list[Path], size: int) -> str:
    """Return a hash that changes with any image's name, length or time of change, and with the decoding."""
    listed = [(path.relative_to(root).as_posix(), *_stamp(path)) for path in paths]
    return hashlib.sha256(json.dumps([FORMAT, size, listed]).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # such as a broken link, which decoding will name
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _recall(cache: Path, fingerprint: str) -> list[Tensor] | None:
    """Return the cached pixels of these files, if there are any."""
    try:
        kept = torch.load(cache, weights_only=True)
        return [kept[split] for split in SPLITS] if kept["fingerprint"] == fingerprint else None
    except OSError:
        return None
    except Exception as error:  # whatever is wrong with the cache, the images are still there
        print(f"folder: {cache} is damaged ({type(error).__name__})", file=sys.stderr)
        return None


def _remember(cache: Path, fingerprint: str, pixels: list[Tensor]) -> None:
    """Write the pixels beside the images. If that fails, they are decoded again next time."""
    # A clone, since saving one part of a split tensor would save the storage of the whole.
    kept = {"fingerprint": fingerprint} | {split: part.clone() for split, part in zip(SPLITS, pixels, strict=True)}
    try:
        with written_whole(cache) as file:
            torch.save(kept, file)
    except (OSError, RuntimeError) as error:
        print(f"folder: {cache} cannot be written, so each start decodes the images again: {error}", file=sys.stderr)


def count_folder(root: Path) -> tuple[int, int]:
    """Return (classes, training images) below `root` without opening an image. Raises DataError for another layout."""
    train, _ = _list_files(root.expanduser().absolute())
    return len(train), len(_paths(train))
