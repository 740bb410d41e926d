"""`folder`: images of any format and size in train/CLASS/ and test/CLASS/, or Tiny ImageNet as it is distributed."""

from pathlib import Path

import torch
from torch import Tensor

from trainer.data.folder_files import Files, Listed, list_files, paths_of
from trainer.data.images import ImageSet, Split, in_full, mean_and_std
from trainer.data.pixels import Encoded, cached, decode_all, fingerprint
from trainer.data.tiny_imagenet import is_tiny_imagenet, list_tiny_imagenet


def read_folder(root: Path, image_size: int) -> ImageSet:
    """Read all images below `root` as uint8 [N, 3, S, S] with S = `image_size`, classes and files in sorted order.

    Folders inside a class folder belong to the class. Names that begin with a dot are ignored. `mean` and `std` are
    those of train. Raises DataError for another layout, for fewer than two classes, for classes that differ between
    train and test, and for files that are not readable images.
    """
    root = in_full(root)
    listed = _list(root)
    parts = [paths_of(listed.train), paths_of(listed.test)]
    cache = root / f".cifar-sweeps-{image_size}.pt"
    train, test = cached(
        "folder",
        cache,
        fingerprint(root, [path for part in parts for path in part], image_size),
        lambda: decode_all("folder", root, [[*map(_encoded, part)] for part in parts], image_size),
    )
    splits = Split(train, _labels(listed.train)), Split(test, _labels(listed.test))
    return ImageSet("folder", listed.class_names, *mean_and_std(train), *splits)


def count_folder(root: Path) -> tuple[int, int]:
    """Return (classes, training images) below `root` without opening an image. Raises DataError for another layout."""
    listed = _list(in_full(root))
    return len(listed.class_names), len(paths_of(listed.train))


def _list(root: Path) -> Listed:
    return list_tiny_imagenet(root) if is_tiny_imagenet(root) else list_files(root)


def _encoded(path: Path) -> Encoded:
    return str(path), path


def _labels(files: Files) -> Tensor:
    """Return [N], the class of each of `paths_of`."""
    return torch.arange(len(files)).repeat_interleave(torch.tensor([len(paths) for paths in files.values()]))
