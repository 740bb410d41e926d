"""The result of every data source: all images of a set, in two or three uint8 tensors."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainer.errors import DataError, UserError


@dataclass(frozen=True)
class Split:
    """N images and their classes."""

    images: Tensor  # [N, C, H, W] uint8
    labels: Tensor  # [N] int64 in [0, K)

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Split":
        """Return the images at `index` [M], in that order."""
        return Split(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class ImageSet:
    """A whole data set. `mean` and `std` are per channel, as fractions of white."""

    name: str
    class_names: tuple[str, ...]  # K names, in the order of the labels
    mean: tuple[float, ...]  # [C]
    std: tuple[float, ...]  # [C]
    train: Split
    test: Split
    val: Split | None = None  # held out of the training set; None if data.val_fraction is 0

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        return self.train.images.shape[1]

    @property
    def image_size(self) -> int:
        return self.train.images.shape[-1]

    def fingerprint(self) -> str:
        """Return a hash of all images, labels and class names. It takes 0.3 s for CIFAR-10."""
        tensors = [
            part for split in (self.train, self.val, self.test) if split for part in (split.images, split.labels)
        ]
        digest = hashlib.sha256(json.dumps([self.class_names, [list(part.shape) for part in tensors]]).encode())
        for part in tensors:
            digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()


def in_full(path: str | Path) -> Path:
    """Return a path with `~` and the current directory in full. Raises DataError for the home of nobody."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise DataError(f"{path}: no such home directory is known here; write the path in full") from error


def class_names(given: Sequence[str] | None, labels: Tensor, mistake: Callable[[str], UserError]) -> tuple[str, ...]:
    """Return the names of the classes of labels [N]: those given, or else their numbers.

    Of classes of one name, each has its number beside it: `a (0)`, `a (1)`.
    Raises what `mistake` makes of a line for fewer than two classes, too few names, or labels that number something
    else: a network has an output for each class.
    """
    classes = int(labels.max()) + 1
    if given is None and classes > len(labels):
        raise mistake(f"a label is {classes - 1}, but there are {len(labels)} images; number the classes from 0")
    names = tuple(map(str, range(classes))) if given is None else tuple(given)
    if len(names) < classes:
        raise mistake(f"{len(names)} class{'es' * (len(names) != 1)}, but a label is {classes - 1}")
    if len(names) < 2:
        raise mistake("only one class")
    while often := {name for name, count in Counter(names).items() if count > 1}:
        names = tuple(f"{name} ({label})" if name in often else name for label, name in enumerate(names))
    return names


def mean_and_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the exact mean and std of each channel of [N, C, H, W] uint8, as fractions of white.

    A channel with a single level has std 1, since a division by 0 would make it NaN.
    """
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])  # [C, 256]
    share = counts.double() / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ levels  # [C]
    std = (share * (levels - mean[:, None]) ** 2).sum(dim=1).sqrt()
    return tuple(mean.tolist()), tuple(std.where(std > 0, 1.0).tolist())
