"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from files whose names, address and MD5s torchvision knows.

torchvision's own classes check every MD5 twice and return the pixels channels last. Here each file is checked once and
read in its own order, [N, C, H, W].
"""

import pickle
import sys
import tarfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity, download_and_extract_archive, extract_archive

from trainer.data.download import quiet_and_impatient
from trainer.data.images import ImageSet, Split, in_full
from trainer.errors import DataError


@dataclass(frozen=True)
class Cifar:
    """One of the two sets. `mean` and `std` are those of all training pixels, per channel."""

    name: str
    files: type[CIFAR10]  # torchvision's names and MD5s of the files
    label_key: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CIFAR_10 = Cifar("cifar10", CIFAR10, "labels", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
CIFAR_100 = Cifar("cifar100", CIFAR100, "fine_labels", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))


def read_cifar(cifar: Cifar, root: Path, *, download: bool) -> ImageSet:
    """Read 50000 training and 10000 test images, uint8 [N, 3, 32, 32], from the set's folder in `root`.

    Missing files are unpacked from the archive in `root`, or else downloaded if `download` allows it. Raises DataError
    if neither is possible, and for damaged files, which are named and not changed.
    """
    root = in_full(root)
    files, folder = cifar.files, root / cifar.files.base_folder
    if not _holds_anything(folder):
        _bring(cifar, root, download=download)
    _check(cifar, folder)
    (class_names,) = _unpickle(folder / files.meta["filename"], files.meta["key"])
    train, test = (
        _read_split(cifar, folder, [name for name, _ in listed]) for listed in (files.train_list, files.test_list)
    )
    return ImageSet(cifar.name, tuple(class_names), cifar.mean, cifar.std, train, test)


def _holds_anything(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error


def _bring(cifar: Cifar, root: Path, *, download: bool) -> None:
    """Unpack the set into a temporary folder first, so that an incomplete one is never taken for the set."""
    files, archive = cifar.files, root / cifar.files.filename
    if not archive.exists() and not download:
        raise _missing(cifar, root, "data.download=false")
    if archive.exists() and not check_integrity(archive, files.tgz_md5):
        raise DataError(
            f"{cifar.name}: {archive} is damaged (its MD5 is not {files.tgz_md5}); delete it or replace it "
            f"by {files.url}"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{files.base_folder}-", dir=root) as scratch, quiet_and_impatient():
            if archive.exists():
                extract_archive(archive, scratch)
            else:
                print(f"{cifar.name}: downloading {files.url} to {root}", file=sys.stderr)
                download_and_extract_archive(files.url, scratch, filename=files.filename, md5=files.tgz_md5)
            _move(Path(scratch, files.base_folder), root / files.base_folder)
    except (OSError, RuntimeError, ValueError, EOFError, HTTPException, tarfile.TarError) as error:
        raise _missing(cifar, root, f"{'unpacking' if archive.exists() else 'download'} failed: {error}") from error


def _move(new: Path, folder: Path) -> None:
    try:
        new.replace(folder)
    except OSError:  # another run may have unpacked the set meanwhile; its files are checked, too
        if not _holds_anything(folder):
            raise


def _missing(cifar: Cifar, root: Path, reason: str) -> DataError:
    files = cifar.files
    return DataError(
        f"{cifar.name}: no images in {root / files.base_folder} ({reason}). Put the files there, or save {files.url} "
        f"in {root}, or set data.root=DIR to the folder that holds {files.base_folder}, or use the embedded set: "
        "--data shapes10"
    )


def _check(cifar: Cifar, folder: Path) -> None:
    """Check the MD5 of every file before anything is unpickled. Raises DataError that names the bad ones."""
    files = cifar.files
    listed = [*files.train_list, *files.test_list, (files.meta["filename"], files.meta["md5"])]
    faults = {name: fault for name, md5 in listed if (fault := _fault(folder / name, md5))}
    if faults:
        raise DataError(
            f"{cifar.name}: {', '.join(f'{name} {fault}' for name, fault in faults.items())} in {folder}; "
            f"put the original there, or delete the folder to download it again from {files.url}"
        )


def _fault(path: Path, md5: str) -> str | None:
    try:
        if not path.is_file():
            return "is missing"
        return None if check_integrity(path, md5) else "is damaged (wrong MD5)"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _read_split(cifar: Cifar, folder: Path, names: list[str]) -> Split:
    parts = [_unpickle(folder / name, "data", cifar.label_key) for name in names]
    pixels = np.concatenate([part[0] for part in parts])  # [N, 3072] uint8: red rows, green rows, blue rows
    labels = [label for part in parts for label in part[1]]
    return Split(torch.from_numpy(pixels).view(-1, 3, 32, 32), torch.tensor(labels))


def _unpickle(path: Path, *keys: str) -> list[Any]:
    """Return the values of `keys` in the pickled dict at `path`. Raises DataError that names the file."""
    try:
        entry = pickle.loads(path.read_bytes(), encoding="latin1")
        return [entry[key] for key in keys]
    except Exception as error:  # a file that is no pickle can make the unpickler raise nearly anything
        raise DataError(f"{path}: does not contain {' and '.join(keys)} ({type(error).__name__}: {error})") from error
