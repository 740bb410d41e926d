"""Tiny ImageNet (Stanford CS231n) in its own layout, which names the classes of val/ in a file. Its test/ has none.

train/WNID/images/*.JPEG    val/images/*.JPEG    val/val_annotations.txt    words.txt
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainer.data.folder_files import Files, Listed, differing, folders, images_of, is_folder, text_of
from trainer.errors import DataError

_ANNOTATIONS = Path("val", "val_annotations.txt")


def is_tiny_imagenet(root: Path) -> bool:
    """Return whether a folder has this layout."""
    try:
        return (root / _ANNOTATIONS).is_file() and is_folder(root / "train")
    except OSError:
        return False


def list_tiny_imagenet(root: Path) -> Listed:
    """Return the files of train, and those of val as test, classes in the order of their WordNet ids.

    The name of a class is its first word in words.txt, or its id without that file. Raises DataError for fewer
    than two classes, and for classes without images, or of train or val alone.
    """
    train: Files = {}
    for folder in folders(root / "train"):
        files = images_of(folder, above=(root, root / "train"))
        train[folder.name] = [path for path in files if path.suffix != ".txt"]  # which has the bounding boxes
    test: Files = {wnid: [] for wnid in sorted({wnid for _, wnid in _annotated(root)})}
    for path, wnid in _annotated(root):
        test[wnid].append(path)
    problems = differing(train, test, str(_ANNOTATIONS))
    problems += [f"folder: {root / 'train' / wnid} holds no images" for wnid, files in train.items() if not files]
    if len(train) < 2:
        problems.append(f"folder: {root / 'train'} has {len(train)} class folders; two or more classes are needed")
    if problems:
        raise DataError(*problems)
    return Listed(_names(root, list(train)), train, test)


def _annotated(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield (image, WordNet id) of val."""
    path = root / _ANNOTATIONS
    for number, line in enumerate(_lines(path), start=1):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0].strip()
        if not name or not wnid:
            raise DataError(f"folder: {path}: line {number}: {line!r} is no file name, tab and class")
        yield path.parent / "images" / name, wnid


def _names(root: Path, wnids: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each id. Two classes of one name, such as both kinds of crane, have their ids beside it."""
    path = root / "words.txt"
    words = dict(line.split("\t", 1) for line in _lines(path) if "\t" in line) if path.is_file() else {}
    names = {wnid: text_of(words.get(wnid, "").partition(",")[0].strip() or wnid) for wnid in wnids}
    often = Counter(names.values())
    return tuple(name if often[name] == 1 else f"{name} ({wnid})" for wnid, name in names.items())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"folder: {path} cannot be read: {error}") from error
