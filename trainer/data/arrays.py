"""Arrays from files that are not ours into images and labels, and what is wrong with them in a line."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.crops import resized
from trainer.data.images import Split
from trainer.errors import DataError

Array = NDArray[Any]


def read_arrays(path: Path, *, only: Collection[str] | None = None) -> dict[str, Array]:
    """Return the arrays of a .npz file, or those of `only` that it has. Nothing is unpickled. Raises DataError."""
    try:
        path.open("rb").close()  # an absent file is no zip file either
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: is damaged, or no .npz file of several arrays, as np.savez writes it")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file if only is None or name in only}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: has Python objects, which are not unpickled because they could run code; "
                "save images as uint8 and labels as whole numbers"
            ) from error
        raise DataError(f"{path}: is damaged ({error})") from error


def split_of(images: Array, labels: Array, size: int, where: str) -> Split:
    """Return images [N, 3, S, S], resized once if they have another side than `size`, and labels [N].

    Images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1 or 3, and labels whole numbers [N] or [N, 1].
    Raises DataError for any others. `where` is the file and what they are called in it.
    """
    split = Split(_colours(images, where), labels_of(labels, where))
    if len(split) != len(split.images):
        raise DataError(f"{where}: {len(split.images)} images, but {len(split)} labels")
    return Split(resized(split.images, size), split.labels)


def labels_of(labels: Array, where: str) -> Tensor:
    """Return [N] int64 from whole numbers [N] or [N, 1]. Raises DataError for others."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are {described(labels)}, not whole numbers [N]")
    if not len(labels):
        raise DataError(f"{where}: no labels")
    if labels.min() < 0:
        raise DataError(f"{where}: a label is {labels.min()}; the first class is 0")
    if labels.max() > np.iinfo(np.int64).max:
        raise DataError(f"{where}: a label is {labels.max()}, which is no class")
    return torch.from_numpy(labels.astype(np.int64))


def described(array: Array) -> str:
    """Return `float32 [60000, 28, 28]`."""
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def _colours(images: Array, where: str) -> Tensor:
    """Return [N, 3, H, W]. Grey becomes three equal channels."""
    if images.dtype != np.uint8:
        cure = "; multiply by 255 if they are fractions, and save them as uint8" if images.dtype.kind == "f" else ""
        raise DataError(f"{where}: images are {described(images)}, not uint8 in 0..255{cure}")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
        raise DataError(
            f"{where}: images are {described(images)}, not [N, H, W], [N, H, W, C] or [N, C, H, W], C 1 or 3"
        )
    # A copy, since a file's array may be read only, or in another order.
    return torch.from_numpy(np.array(images, order="C")).expand(-1, 3, -1, -1).contiguous()
