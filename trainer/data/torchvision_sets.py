"""SVHN, MNIST and Fashion-MNIST, whose files, addresses and MD5s torchvision knows.

MNIST and Fashion-MNIST are grey, 28x28 pixels. Each becomes three equal channels with two black pixels on every side,
so 32x32: nothing is scaled, and every network takes them.
"""

from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import MNIST, SVHN
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_integrity

from trainer.data.download import quiet_and_impatient
from trainer.data.images import ImageSet, Split, in_full, mean_and_std
from trainer.errors import DataError

_DOWNLOAD_ERRORS = (OSError, RuntimeError, ValueError, EOFError, HTTPException)
_PARTS = ("train", "t10k")  # of the names of MNIST's files
_DIGITS = tuple(map(str, range(10)))
_NO_DOWNLOAD = "data.download=false"


def read_svhn(root: Path, *, download: bool) -> ImageSet:
    """Read SVHN (Netzer et al. 2011): 73257 training and 26032 test images, uint8 [N, 3, 32, 32].

    Missing files are downloaded to `root` if `download` allows it. Raises DataError if that is not possible, and for
    damaged files, which are named and not changed.
    """
    root = in_full(root)
    train, test = (_svhn_split(root, part, download=download) for part in ("train", "test"))
    return ImageSet("svhn", _DIGITS, *mean_and_std(train.images), train, test)


def _svhn_split(root: Path, part: str, *, download: bool) -> Split:
    address, name, md5 = map(str, SVHN.split_list[part])
    there = (root / name).is_file()
    try:
        with quiet_and_impatient():
            dataset = SVHN(root, split=part, download=download and not there)
        return Split(torch.from_numpy(np.ascontiguousarray(dataset.data)), torch.from_numpy(dataset.labels).long())
    except _DOWNLOAD_ERRORS as error:
        if there:
            raise _damaged("svhn", root / name, md5) from error
        reason = f"download failed: {_line(error)}" if download else _NO_DOWNLOAD
        absent = [
            name for name in (SVHN.split_list[part][1] for part in ("train", "test")) if not (root / name).is_file()
        ]
        raise _missing("svhn", root, absent, address.rpartition("/")[0], reason) from error


def read_mnist(name: str, files: type[MNIST], root: Path, *, download: bool) -> ImageSet:
    """Read 60000 training and 10000 test images of MNIST or Fashion-MNIST, uint8 [N, 3, 32, 32], from `root`/NAME/raw.

    Missing files are unpacked from those with .gz beside them, or else downloaded if `download` allows it. Raises
    DataError if neither is possible, and for damaged files, which are named and not changed.
    """
    folder = in_full(root) / files.__name__ / "raw"
    zipped = [(folder / zipped, md5) for zipped, md5 in files.resources]
    if not all(path.with_suffix("").is_file() for path, _ in zipped):
        _unpack(name, files, folder, zipped, download=download)
    train, test = (_grey_split(name, folder, part) for part in _PARTS)
    classes = _DIGITS if files is MNIST else tuple(files.classes)
    return ImageSet(name, classes, *mean_and_std(train.images), train, test)


def _unpack(name: str, files: type[MNIST], folder: Path, zipped: Sequence[tuple[Path, str]], *, download: bool) -> None:
    """Unpack the files with .gz, after those that are missing are downloaded, if that is allowed."""
    try:
        for path, md5 in zipped:
            if path.is_file() and not check_integrity(path, md5):
                raise _damaged(name, path, md5)
        reason = _NO_DOWNLOAD
        if download or all(path.is_file() for path, _ in zipped):
            with quiet_and_impatient():
                files(folder.parents[1], download=True)
            return
    except _DOWNLOAD_ERRORS as error:
        reason = f"download failed: {_line(error)}"
    raise _missing(name, folder, [path.stem for path, _ in zipped], files.mirrors[0], reason)


def as_colours(greys: Tensor, padding: int = 0) -> Tensor:
    """Return [N, H, W] uint8 as [N, 3, H+2p, W+2p], all channels alike, with a black border."""
    return F.pad(greys.unsqueeze(1), (padding,) * 4).repeat(1, 3, 1, 1)


def _grey_split(name: str, folder: Path, part: str) -> Split:
    paths = folder / f"{part}-images-idx3-ubyte", folder / f"{part}-labels-idx1-ubyte"
    read: list[Tensor] = []
    for path, reader in zip(paths, (read_image_file, read_label_file), strict=True):
        try:
            read.append(reader(str(path)))
        except OSError as error:
            raise DataError(f"{name}: {path}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # of a damaged file: torchvision asserts, and torch complains of sizes
            raise DataError(f"{name}: {path} is damaged ({type(error).__name__}); put the original there") from error
    images, labels = read
    if images.shape[1:] != (28, 28) or len(images) != len(labels) or not len(images) or labels.max() > 9:
        raise DataError(f"{name}: {paths[0]} and {paths[1].name} are not images of 28x28 pixels with their digits")
    return Split(as_colours(images, padding=2), labels)


def _damaged(name: str, path: Path, md5: str) -> DataError:
    return DataError(f"{name}: {path} is damaged (its MD5 is not {md5}); delete it or put the original there")


def _missing(name: str, folder: Path, names: Sequence[str], address: str, reason: str) -> DataError:
    these = "them" if name == "svhn" else f"{folder.parent.name}/raw"
    return DataError(
        f"{name}: no images in {folder} ({reason}). Put {', '.join(names)} there, from {address}, or set "
        f"data.root=DIR to another folder that has {these}, or use the embedded set: --data shapes10"
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
