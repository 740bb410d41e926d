"""Images by the `data` section: one source per `data.name`, then the subsets that the section names."""

import os
from dataclasses import dataclass, replace
from typing import assert_never

from trainer.config.data import (
    Cifar10,
    Cifar100,
    Data,
    FashionMnist,
    Folder,
    HuggingFace,
    Mnist,
    Npz,
    OwnData,
    Shapes10,
    Svhn,
)
from trainer.data.images import ImageSet, Split
from trainer.data.shared import FOLDER, one_copy
from trainer.data.subset import hold_out, take
from trainer.errors import ConfigError


def load_image_set(data: Data, *, seed: int) -> ImageSet:
    """Return the set that `data` names, whole in memory, with `train_size` and then `val_fraction` applied.

    The choice of images depends on `seed` alone. `mean` and `std` are those of the whole training set, or as given.
    Raises DataError for missing, damaged or unreadable images, and ConfigError for sizes that the set does not have.
    """
    whole = _normalised_as_asked(_kept_or_read(data), data)
    train = whole.train if data.train_size is None else take(whole.train, data.train_size, seed=seed)
    if not data.val_fraction:
        return replace(whole, train=train)
    train, val = hold_out(train, data.val_fraction, seed=seed)
    return replace(whole, train=train, val=val)


def keep_last() -> None:
    """Let `load_image_set` keep the last set that it has read in this process, for a next run of the same section."""
    global _keeps
    _keeps = True


_keeps = False
_last: tuple[Data, ImageSet] | None = None


def _kept_or_read(data: Data) -> ImageSet:
    global _last
    if _last and _last[0] == data:
        return _last[1]
    _last = None  # there is never room for two
    image_set = _read(data)
    if _keeps:
        image_set = replace(image_set, train=_together(image_set.train))
        _last = data, image_set
    return image_set


def _together(split: Split) -> Split:
    """Return the images as all processes of a sweep have them, if they share any."""
    if FOLDER not in os.environ:
        return split
    rows = split.images.permute(0, 2, 3, 1)
    shared = one_copy(split.images, f"images {split.images.shape}", rows.shape, lambda out: out.copy_(rows))
    return replace(split, images=shared.permute(0, 3, 1, 2))


def _normalised_as_asked(image_set: ImageSet, data: Data) -> ImageSet:
    asked = {key: value for key, value in (("mean", data.mean), ("std", data.std)) if value is not None}
    for key, value in asked.items():
        if len(value) != image_set.in_channels:
            raise ConfigError(f"data.{key}: {len(value)} values, but the images have {image_set.in_channels} channels")
    return replace(image_set, **asked)


def _read(data: Data) -> ImageSet:
    match data:  # only the chosen source is imported, since torchvision takes seconds
        case Cifar10():
            from trainer.data.cifar import CIFAR_10, read_cifar

            return read_cifar(CIFAR_10, data.root, download=data.download)
        case Cifar100():
            from trainer.data.cifar import CIFAR_100, read_cifar

            return read_cifar(CIFAR_100, data.root, download=data.download)
        case Svhn():
            from trainer.data.torchvision_sets import read_svhn

            return read_svhn(data.root, download=data.download)
        case Mnist() | FashionMnist():
            from torchvision.datasets import MNIST, FashionMNIST

            from trainer.data.torchvision_sets import read_mnist

            files = MNIST if isinstance(data, Mnist) else FashionMNIST
            return read_mnist(data.name, files, data.root, download=data.download)
        case Shapes10():
            from trainer.data.shapes10 import draw_shapes10

            return draw_shapes10(seed=data.seed)
        case Folder():
            from trainer.data.folder import read_folder

            return read_folder(data.root, data.image_size)
        case Npz():
            from trainer.data.npz import read_npz

            return read_npz(data.root, data.image_size)
        case HuggingFace():
            from trainer.data.huggingface import read_huggingface

            return read_huggingface(data)
        case OwnData():
            from trainer.data.own import read_own

            return read_own(data)
        case _:
            assert_never(data)


@dataclass(frozen=True)
class SetShape:
    """The sizes of a set, without decoding an image. Names are as in ImageSet."""

    num_classes: int
    train_size: int
    image_size: int = 32
    in_channels: int = 3


def shape_of(data: Data) -> SetShape:
    """Return the sizes of a set. Raises DataError for files with another layout."""
    match data:
        case Cifar10() | Cifar100():
            shape = SetShape(10 if isinstance(data, Cifar10) else 100, 50_000)
        case Svhn():
            shape = SetShape(10, 73_257)
        case Mnist() | FashionMnist():
            shape = SetShape(10, 60_000)
        case Shapes10():
            shape = SetShape(10, 10_000)
        case Folder():
            from trainer.data.folder import count_folder

            classes, images = count_folder(data.root)
            shape = SetShape(classes, images, data.image_size)
        case Npz():
            from trainer.data.npz import count_npz

            shape = SetShape(*count_npz(data.root), data.image_size)
        case HuggingFace():
            from trainer.data.huggingface import count_huggingface

            shape = SetShape(*count_huggingface(data), data.image_size)
        case OwnData():
            whole = _read(data)
            shape = SetShape(whole.num_classes, len(whole.train), whole.image_size, whole.in_channels)
        case _:
            assert_never(data)
    return replace(shape, train_size=data.train_size or shape.train_size)
