"""`npz`: images in NumPy's .npz files, as Keras and MedMNIST write them, or train.npz and test.npz of your own."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.data.arrays import Array, described, labels_of, read_arrays, split_of
from trainer.data.images import ImageSet, Split, class_names, in_full, mean_and_std
from trainer.errors import DataError

Keys = tuple[tuple[str, str], ...]
"""Names that images and labels may have."""
_TRAIN: Keys = (("x_train", "y_train"), ("train_images", "train_labels"))  # Keras, MedMNIST
_TEST: Keys = (("x_test", "y_test"), ("test_images", "test_labels"))
_EITHER: Keys = (("x", "y"), ("images", "labels"))  # of a file that has only one of both
_NAMES = "class_names"


def read_npz(root: Path, size: int) -> ImageSet:
    """Read a file with x_train, y_train, x_test and y_test, or a folder with train.npz and test.npz of x and y each.

    `arrays.split_of` says what these may be. Class names are in `class_names` [K], in the file of the training images,
    or else the numbers. Raises DataError for missing files and arrays, and for what is not images with their labels.
    """
    (train_file, train_keys), (test_file, test_keys) = _files(root)
    read = {path: read_arrays(path) for path in dict.fromkeys((train_file, test_file))}
    train = _split(read[train_file], train_keys, train_file, size)
    test = _split(read[test_file], test_keys, test_file, size)
    names = class_names(_given_names(read[train_file], train_file), train.labels, _mistake_in(train_file))
    if (most := int(test.labels.max())) >= len(names):
        raise DataError(f"{test_file}: a test label is {most}, but the training set has {len(names)} classes")
    return ImageSet("npz", names, *mean_and_std(train.images), train, test)


def count_npz(root: Path) -> tuple[int, int]:
    """Return (classes, training images), from the labels alone. Raises DataError."""
    (path, keys), _ = _files(root)
    content = read_arrays(path, only={label for _, label in keys} | {_NAMES})
    name = next((label for _, label in keys if label in content), None)
    if name is None:
        raise _no_arrays(path, content, keys)
    labels = labels_of(content[name], f"{path}: {name}")
    return len(class_names(_given_names(content, path), labels, _mistake_in(path))), len(labels)


def read_test_npz(path: Path, size: int) -> tuple[Split, tuple[str, ...] | None]:
    """Return the images of a test set, x_test and y_test or x and y, and its `class_names`, if there are any.

    Raises DataError.
    """
    content = read_arrays(path)
    split, given = _split(content, (*_TEST, *_EITHER), path, size), _given_names(content, path)
    return split, None if given is None else class_names(given, split.labels, _mistake_in(path))


def _given_names(content: Mapping[str, Array], path: Path) -> list[str] | None:
    """Return `class_names` [K], if there are any. Raises DataError for what is no list of names."""
    names = content.get(_NAMES)
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        raise DataError(f"{path}: {_NAMES} are {described(names)}, not text [K]")
    return [_text(each) for each in names.tolist()]


def _mistake_in(path: Path) -> Callable[[str], DataError]:
    return lambda said: DataError(f"{path}: {said}")


def _text(name: str | bytes | int) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)


def _files(root: Path) -> tuple[tuple[Path, Keys], tuple[Path, Keys]]:
    """Return the files of train and of test, which may be one, and what their arrays may be called."""
    root = in_full(root)
    if root.is_file():
        return (root, _TRAIN), (root, _TEST)
    files = root / "train.npz", root / "test.npz"
    if absent := [path.name for path in files if not path.is_file()]:
        why = f"has no {' and no '.join(absent)}" if root.is_dir() else "is not there"
        raise DataError(
            f"npz: {root} {why}; set data.root to a file with x_train, y_train, x_test and y_test, or to a folder with "
            "train.npz and test.npz"
        )
    return (files[0], (*_TRAIN, *_EITHER)), (files[1], (*_TEST, *_EITHER))


def _split(content: Mapping[str, Array], keys: Keys, path: Path, size: int) -> Split:
    for images, labels in keys:
        if images in content and labels in content:
            return split_of(content[images], content[labels], size, f"{path}: {images}, {labels}")
    raise _no_arrays(path, content, keys)


def _no_arrays(path: Path, content: Mapping[str, Array], keys: Keys) -> DataError:
    has = ", ".join(content) or "nothing"
    either = f" (or {' and '.join(_EITHER[0])})" if _EITHER[0] in keys else ""
    return DataError(f"{path}: has {has}; expected are {' and '.join(keys[0])}{either}")
