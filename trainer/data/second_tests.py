"""Second test sets (`data.also_test`): CIFAR-10.1, CIFAR-10-C and .npz files, measured at the end and never chosen on.

CIFAR-10.1 is version 6 (Recht et al. 2018): 2000 new images of CIFAR-10's classes. CIFAR-10-C (Hendrycks & Dietterich
2019) has the test images under 15 corruptions, five severities of each in one file, the mildest first. Four files more
are for validation. They are measured too, but are in no mean.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from trainer.config.data import CORRUPTED, NEW_TEST, Data, second_test_name
from trainer.data.arrays import Array, described, labels_of, split_of
from trainer.data.images import ImageSet, Split, in_full
from trainer.data.npz import read_test_npz
from trainer.errors import DataError

SEVERITIES = 5
CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost", "gaussian_noise", "glass_blur"),
    *("impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "shot_noise", "snow", "zoom_blur"),
)
_MISSING = f"{CORRUPTED}: Put the files of CIFAR-10-C.tar there"


@dataclass(frozen=True)
class SecondTest:
    """A further test set, in parts that are read one at a time: CIFAR-10-C takes 3 GB."""

    name: str  # in keys
    splits: Callable[[], Iterator[tuple[str, Split]]]  # (name of the part, or "" for a whole set; its images)
    corrupted: bool = False  # each part is a corruption, its images sorted by severity


def second_tests(data: Data, image_set: ImageSet) -> tuple[SecondTest, ...]:
    """Return the sets that `data.also_test` names, for networks trained on `image_set`.

    Raises DataError, a line each, for files that are missing, are no images with labels, or have other classes.
    """
    found: list[SecondTest] = []
    problems: list[str] = []
    for name in data.also_test:
        try:
            found.append(_second_test(name, data, image_set))
        except DataError as error:
            problems += [f"data.also_test: {problem}" for problem in error.problems]
    if problems:
        raise DataError(*problems)
    return tuple(found)


def _second_test(name: str, data: Data, image_set: ImageSet) -> SecondTest:
    if image_set.in_channels != 3:
        raise DataError(f"{name} has 3 channels, but the training images have {image_set.in_channels}")
    size, root = image_set.image_size, _root(data)
    if name == CORRUPTED:
        return _corrupted(root / "CIFAR-10-C", image_set)
    if name == NEW_TEST:
        paths = [root / f"cifar10.1_v6_{what}.npy" for what in ("data", "labels")]
        cure = f"{NEW_TEST}: Put cifar10.1_v6_data.npy and cifar10.1_v6_labels.npy there"
        images, labels = (_array(path, cure) for path in paths)
        split = split_of(images, labels, size, str(paths[0]))
        _refuse_other_classes(name, int(split.labels.max()) + 1, image_set)
    else:
        split, names = read_test_npz(in_full(name), size)
        _refuse_other_classes(name, len(names) if names else int(split.labels.max()) + 1, image_set)
        if names and names != image_set.class_names and set(names) == set(image_set.class_names):
            raise DataError(f"{name} has the classes of {image_set.name} in another order; number them as there")
    return SecondTest(second_test_name(name), lambda: iter([("", split)]))


def _root(data: Data) -> Path:
    root = data.also_root or getattr(data, "root", None) or "data"
    return in_full(root)


def _corrupted(folder: Path, image_set: ImageSet) -> SecondTest:
    names = {path.stem for path in folder.glob("*.npy")} - {"labels"}
    labels = _array(folder / "labels.npy", _MISSING)
    if absent := [name for name in CORRUPTIONS if name not in names]:
        raise DataError(f"{folder} has no {', '.join(f'{name}.npy' for name in absent)} ({_MISSING})")
    classes = int(labels_of(labels, str(folder / "labels.npy")).max()) + 1
    _refuse_other_classes(CORRUPTED, classes, image_set)
    for name in sorted(names):
        images = _array(folder / f"{name}.npy", _MISSING)
        if images.dtype != np.uint8 or images.shape != (len(labels), 32, 32, 3) or len(labels) % SEVERITIES:
            raise DataError(f"{folder / name}.npy: {described(images)}, not uint8 [5 N, 32, 32, 3] with a label each")
    return SecondTest(CORRUPTED, partial(_read_corrupted, folder, sorted(names), image_set.image_size), corrupted=True)


def _read_corrupted(folder: Path, names: list[str], size: int) -> Iterator[tuple[str, Split]]:
    labels = _array(folder / "labels.npy", _MISSING)
    for name in names:
        path = folder / f"{name}.npy"
        yield name, split_of(_array(path, _MISSING), labels, size, str(path))


def _array(path: Path, cure: str) -> Array:
    """Return the array of a .npy file, which is not read yet. `cure` says what to put there."""
    try:
        return open_memmap(path, mode="r")  # refuses arrays of Python objects
    except OSError as error:
        other = "or set data.also_root=DIR to the folder that holds it"
        raise DataError(f"{path}: {error.strerror or error} ({cure}, {other})") from error
    except ValueError as error:
        raise DataError(f"{path}: is damaged, or no .npy file of numbers") from error


def _refuse_other_classes(name: str, classes: int, image_set: ImageSet) -> None:
    if classes != image_set.num_classes:
        raise DataError(f"{name} has {classes} classes, but {image_set.name} has {image_set.num_classes}")
