"""`npz`: images in NumPy's .npz files, as Keras and MedMNIST write them, or train.npz and test.npz of your own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.data.arrays import Array, labels_of, read_arrays, split_of
from trainer.data.images import ImageSet, Split, mean_and_std
from trainer.errors import DataError

_TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"))  # Keras, MedMNIST
_TEST = (("x_test", "y_test"), ("test_images", "test_labels"))
_EITHER = (("x", "y"), ("images", "labels"))
_NAMES = "class_names"


def read_npz(root: Path, size: int) -> ImageSet:
    """Read a file with x_train, y_train, x_test and y_test, or a folder with train.npz and test.npz of x and y each.

    `arrays.split_of` says what these may be. Class names are in `class_names` [K], or else the numbers. Raises
    DataError for missing files and arrays, and for arrays that are not images with their labels.
    """
    files = _files(root)
    read = {path: read_arrays(path) for path in dict.fromkeys(files)}
    train, test = (_split(read[path], keys, path, size) for path, keys in zip(files, (_TRAIN, _TEST), strict=True))
    names = class_names([*read.values()], train, str(files[0]))
    if (most := int(test.labels.max())) >= len(names):
        raise DataError(f"{files[1]}: a test label is {most}, but the training set has {len(names)} classes")
    return ImageSet("npz", names, *mean_and_std(train.images), train, test)


def count_npz(root: Path) -> tuple[int, int]:
    """Return (classes, training images), from the labels alone. Raises DataError."""
    path, _ = _files(root)
    content = read_arrays(path, only={label for _, label in (*_TRAIN, *_EITHER)} | {_NAMES})
    name = next((label for _, label in (*_TRAIN, *_EITHER) if label in content), None)
    if name is None:
        raise _no_arrays(path, content, _TRAIN)
    labels = labels_of(content[name], f"{path}: {name}")
    names = content.get(_NAMES)
    return (int(labels.max()) + 1 if names is None else len(names)) if len(labels) else 0, len(labels)


def read_test_npz(path: Path, size: int) -> tuple[Split, int | None]:
    """Return the images of a test set, x_test and y_test or x and y, and the number of `class_names`, if there are any.

    Raises DataError.
    """
    content = read_arrays(path)
    return _split(content, _TEST, path, size), len(content[_NAMES]) if _NAMES in content else None


def class_names(contents: Sequence[Mapping[str, Array]], train: Split, where: str) -> tuple[str, ...]:
    """Return the names of the classes, or their numbers. Raises DataError for fewer than two, or too few names."""
    classes = int(train.labels.max()) + 1
    given = next((content[_NAMES] for content in contents if _NAMES in content), None)
    names = tuple(map(str, range(classes) if given is None else given.tolist()))
    if len(names) < max(2, classes):
        raise DataError(
            f"{where}: {len(names)} classes, but a label is {classes - 1}"
            if classes > 1
            else f"{where}: only one class"
        )
    return names


def _files(root: Path) -> tuple[Path, Path]:
    """Return the files of train and of test, which may be one."""
    root = root.expanduser().absolute()
    if root.is_file():
        return root, root
    files = root / "train.npz", root / "test.npz"
    if absent := [path.name for path in files if not path.is_file()]:
        why = f"has no {' and no '.join(absent)}" if root.is_dir() else "is not there"
        raise DataError(
            f"npz: {root} {why}; set data.root to a file with x_train, y_train, x_test and y_test, or to a folder with "
            "train.npz and test.npz"
        )
    return files


def _split(content: Mapping[str, Array], keys: Sequence[tuple[str, str]], path: Path, size: int) -> Split:
    for images, labels in (*keys, *_EITHER):
        if images in content and labels in content:
            return split_of(content[images], content[labels], size, f"{path}: {images}, {labels}")
    raise _no_arrays(path, content, keys)


def _no_arrays(path: Path, content: Mapping[str, Array], keys: Sequence[tuple[str, str]]) -> DataError:
    has = ", ".join(content) or "nothing"
    return DataError(f"{path}: has {has}; expected are {' and '.join(keys[0])} (or {' and '.join(_EITHER[0])})")
