"""`huggingface`: a folder of Hugging Face `datasets`, as `save_to_disk` writes it or as the Hub has it (Parquet).

pyarrow reads both. `datasets` itself, with its twenty dependencies, is not needed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.config.data import HuggingFace
from trainer.data.images import ImageSet, Split, class_names, in_full, mean_and_std
from trainer.data.pixels import Encoded, cached, decode_all, fingerprint
from trainer.errors import ConfigError, DataError

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as missing:
    raise DataError("data.name=huggingface: needs pyarrow: pip install 'cifar-sweeps[huggingface]'") from missing

_OF = re.compile(r"-of-(\d+)$")
"""Ends the name of a part of a split: `train-00000-of-00002`."""


@dataclass(frozen=True)
class _Columns:
    """Columns with the images and with their classes, and the names of the classes, if the folder has them."""

    image: str
    label: str
    names: tuple[str, ...] | None


def read_huggingface(data: HuggingFace) -> ImageSet:
    """Read two splits as uint8 [N, 3, S, S], decoded once and cached. `mean` and `std` are those of train.

    Raises DataError for a missing split and for images that cannot be read, and ConfigError for columns that are not
    there or of another kind.
    """
    root = in_full(data.root)
    splits = (data.train_split, data.test_split)
    files = {split: split_files(root, split) for split in splits}
    tables = {split: _table(files[split], split) for split in splits}
    columns = _columns(tables[data.train_split].schema, data, data.train_split)
    same = data.model_copy(update={"image": columns.image, "label": columns.label})
    if _columns(tables[data.test_split].schema, same, data.test_split) != columns:
        raise DataError(f"huggingface: {data.train_split} and {data.test_split} number their classes differently")
    parts = {split: _images(tables[split], columns.image, split) for split in splits}
    cache = root / f".cifar-sweeps-{data.image_size}.pt"
    known = fingerprint(root, [path for split in splits for path in files[split]], data.image_size, columns.image)
    train, test = cached(
        data.name, cache, known, lambda: decode_all(data.name, root, [*parts.values()], data.image_size)
    )
    values = [tables[split].column(columns.label).to_pylist() for split in splits]
    names, (train_labels, test_labels) = _labels(columns, values)
    return ImageSet(data.name, names, *mean_and_std(train), Split(train, train_labels), Split(test, test_labels))


def count_huggingface(data: HuggingFace) -> tuple[int, int]:
    """Return (classes, training images) without decoding an image. Raises DataError and ConfigError."""
    table = _table(split_files(in_full(data.root), data.train_split), data.train_split)
    columns = _columns(table.schema, data, data.train_split)
    names, _ = _labels(columns, [table.column(columns.label).to_pylist()])
    return len(names), table.num_rows


def split_files(root: Path, split: str) -> list[Path]:
    """Return the files of a split, in order: Arrow files of `save_to_disk`, or Parquet files by the Hub's names.

    Raises DataError if there are none, or those of several data sets.
    """
    if (root / split / "state.json").is_file():
        return _saved_files(root / split)
    inside = [*sorted(path for path in root.iterdir() if path.is_dir())] if root.is_dir() else []
    found = {folder: files for folder in (root, *inside) if (files := _parquet_files(folder, split))}
    if len(found) > 1:
        here = ", ".join(map(str, found))
        raise DataError(f"huggingface: {root} has several data sets, in {here}; set data.root to one of them")
    if not found:
        raise DataError(
            f"huggingface: {root} {_instead(root, inside, split)}; expected is a folder that `save_to_disk` has "
            f"written, with {split}/state.json, or one from the Hub, with {split}-*.parquet in it or in data/"
        )
    return next(iter(found.values()))


def _instead(root: Path, inside: Sequence[Path], split: str) -> str:
    """Return what is there instead of a split."""
    if not root.is_dir():
        return "is a file" if root.exists() else "is not there"
    if (root / "state.json").is_file():
        return f"has one split without a name, and not {split!r}"
    names = {path.parent.name for path in root.glob("*/state.json")}
    names |= {path.stem.partition("-")[0] for folder in (root, *inside) for path in folder.glob("*.parquet")}
    has = f", but {', '.join(sorted(names))} (data.train_split, data.test_split)" if names else ""
    return f"has no split {split!r}{has}"


def _saved_files(folder: Path) -> list[Path]:
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        first, *others = [folder / each["filename"] for each in state["_data_files"]]
        return [first, *others]
    except OSError as error:
        raise DataError(f"huggingface: {folder / 'state.json'}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"huggingface: {folder / 'state.json'} is damaged ({type(error).__name__})") from error


def _parquet_files(folder: Path, split: str) -> list[Path]:
    whole = [folder / f"{split}.parquet"] if (folder / f"{split}.parquet").is_file() else []
    files = whole or sorted(folder.glob(f"{split}-*.parquet")) or sorted((folder / split).glob("*.parquet"))
    parts = {int(found[1]) for path in files if (found := _OF.search(path.stem))}
    if parts and len(files) < max(parts):
        raise DataError(f"huggingface: {folder} has {len(files)} of {max(parts)} files of {split!r}; bring the others")
    return files


def _table(files: Sequence[Path], split: str) -> pa.Table:
    parts: list[pa.Table] = []
    for path in files:
        try:
            if path.suffix == ".parquet":
                parts.append(pq.ParquetFile(path).read())
            else:
                with pa.memory_map(str(path)) as file:
                    parts.append(pa.ipc.open_stream(file).read_all())
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"huggingface: {path} cannot be read: {_line(error)}") from error
    for path, part in zip(files, parts, strict=True):
        if part.schema != parts[0].schema:
            raise DataError(
                f"huggingface: {path} and {files[0].name} have different columns; they are not of one split"
            )
    if not sum(part.num_rows for part in parts):
        raise DataError(f"huggingface: the split {split!r} has no rows")
    return pa.concat_tables(parts)


def _columns(schema: pa.Schema, data: HuggingFace, split: str) -> _Columns:
    """Return the columns of a split that the config names, or the only ones of their kind."""
    features = _features(schema)
    images = [field.name for field in schema if pa.types.is_struct(field.type) and "bytes" in _inner(field.type)]
    kinds = {name: feature.get("_type") for name, feature in features.items()}
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    labels = labels or [name for name in ("label", "labels") if name in schema.names]
    image = _chosen("image", data.image, images, schema, split)
    label = _chosen("label", data.label, labels, schema, split)
    if image not in images:
        these = f"these have: {', '.join(images)}" if images else "no column has"
        raise ConfigError(f"data.image: the column {image!r} of {split} has no encoded images; {these}")
    names = features.get(label, {}).get("names")
    return _Columns(image, label, tuple(map(str, names)) if names else None)


def _chosen(key: str, asked: str | None, found: Sequence[str], schema: pa.Schema, split: str) -> str:
    if asked is not None:
        if asked not in schema.names:
            has = ", ".join(schema.names)
            raise ConfigError(f"data.{key}: no column of {split} is called {asked!r}; there are {has}")
        return asked
    if len(found) != 1:
        what = {"image": "images", "label": "classes"}[key]
        several = f"{' and '.join(found)} both have {what}" if found else f"no column has {what}"
        raise ConfigError(f"data.{key}: {several}; name one of {', '.join(found or schema.names)}")
    return found[0]


def _features(schema: pa.Schema) -> Mapping[str, Mapping[str, Any]]:
    """Return what `datasets` has noted of each column, if anything."""
    try:
        noted = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in noted.items() if isinstance(feature, dict)}  # a list is of no image
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _inner(kind: pa.DataType) -> list[str]:
    return [kind.field(place).name for place in range(kind.num_fields)]


def _images(table: pa.Table, column: str, split: str) -> list[Encoded]:
    values: list[Any] = table.column(column).to_pylist()
    if absent := [number for number, value in enumerate(values) if not (value and value["bytes"])]:
        raise DataError(
            f"huggingface: {split}: row {absent[0]} has only the path of its image ({len(absent)} rows so); save the "
            "data set with the images in it, as save_to_disk does"
        )
    return [(f"row {number} of {split}", value["bytes"]) for number, value in enumerate(values)]


def _labels(columns: _Columns, parts: Sequence[Sequence[Any]]) -> tuple[tuple[str, ...], list[Tensor]]:
    """Return the names of the classes and [N] for each part. Text is numbered in sorted order."""
    values = [value for part in parts for value in part]
    texts = any(isinstance(value, str) for value in values)
    if odd := [value for value in values if not (isinstance(value, str) if texts else _is_number(value))]:
        shown = repr(odd[0])[:60]
        raise ConfigError(f"data.label: the column {columns.label!r} has {shown}, which is no class")
    given = columns.names
    if texts:
        given = tuple(sorted({*values}))
        number = {name: place for place, name in enumerate(given)}
        parts = [[number[value] for value in part] for part in parts]
    labels = [torch.tensor(part) for part in parts]
    return class_names(given, torch.cat(labels), lambda said: DataError(f"huggingface: {said}")), labels


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
