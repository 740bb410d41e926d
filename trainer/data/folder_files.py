"""Files of a `folder` data set: train/CLASS/ and test/CLASS/, or val/CLASS/ without a test/."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import DataError

Files = dict[str, list[Path]]
"""Folder of a class -> its files, both sorted."""


@dataclass(frozen=True)
class Listed:
    """Every file of a set, by class. Train and test have the same classes in the same order."""

    class_names: tuple[str, ...]
    train: Files
    test: Files


def list_files(root: Path) -> Listed:
    """Return the files of train and of test. Raises DataError with everything that is wrong in the layout."""
    splits = ("train", tested_folder(root))
    if absent := [split for split in splits if not is_folder(root / split)]:
        raise DataError(
            f"folder: {root} has no folder {' and no folder '.join(absent)}; expected are data.root/train/CLASS/* and "
            f"data.root/test/CLASS/* (or val/CLASS/*){_right_root(root)}"
        )
    train, test = (
        {folder.name: images_of(folder, above=(root, root / split)) for folder in folders(root / split)}
        for split in splits
    )
    problems = [
        f"folder: {path} belongs to no class; expected are {path.parent}/CLASS/*"
        for split in splits
        for path in _entries(root / split)
        if not is_folder(path)
    ]
    problems += differing(train, test, splits[1])
    problems += [
        f"folder: {root / split / name} holds no images"
        for split, files in zip(splits, (train, test), strict=True)
        for name in files
        if not files[name]
    ]
    if problems:
        raise DataError(*problems)
    if len(train) < 2:
        names = " and ".join(str(root / split) for split in splits)
        count = f"only one class folder, {next(iter(train))!r}" if train else "no class folders"
        raise DataError(f"folder: {names} hold {count}; two or more classes are needed{_right_level(root, train)}")
    return Listed(tuple(map(text_of, train)), train, test)


def tested_folder(root: Path) -> str:
    """Return `val` if the images that train is tested on are there, as in ImageNet's layout, or else `test`."""
    return "val" if is_folder(root / "val") and not is_folder(root / "test") else "test"


def differing(train: Iterable[str], test: Iterable[str], where: str) -> list[str]:
    """Return a line for each class that only one of train and `where` has."""
    train, test = list(train), list(test)
    problems = [f"folder: class {name!r} is in train but not in {where}" for name in train if name not in test]
    return problems + [f"folder: class {name!r} is in {where} but not in train" for name in test if name not in train]


def _right_root(root: Path) -> str:
    """Return which folder above or below `root` has train and test in it, if one has."""
    near = [root.parent, *(folders(root) if is_folder(root) else [])]
    right = [folder for folder in near if all(is_folder(folder / split) for split in ("train", tested_folder(folder)))]
    return f"; did you mean data.root={right[0]}?" if right else ""


def _right_level(root: Path, names: Iterable[str]) -> str:
    """Return where the class folders seem to be, if they are a folder too deep."""
    deep = [root / "train" / name for name in names]
    right = [folder for folder in deep if len(folders(folder)) > 1]
    return f"; {right[0]} looks like the folder of classes: move what is in it up to {right[0].parent}" if right else ""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder: {folder} cannot be read: {error.strerror}") from error


def folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if is_folder(path)]


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a folder that may not be entered
        return False


def images_of(folder: Path, above: Iterable[Path]) -> list[Path]:
    """Return the files in a class folder and its folders, sorted. A link back to one of `above` is not followed."""
    return sorted(_walk(folder, {path.resolve() for path in above}))


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the files below `folder`. A real folder is read once, however many links lead to it."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for path in _entries(folder):
        if is_folder(path):
            yield from _walk(path, seen)
        elif path.exists() and not path.is_file():
            raise DataError(f"{text_of(str(path))}: neither a file nor a folder, so no image; take it out")
        else:
            yield path


def paths_of(files: Files) -> list[Path]:
    return [path for paths in files.values() for path in paths]


def text_of(name: str) -> str:
    """Return a file name as text that every file and screen can show, also in a locale without UTF-8.

    Bytes that are not UTF-8 are written out, such as `caf\\xe9`.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")
