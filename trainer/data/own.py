"""Images of the user's: a function that returns them, as tensors or arrays."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from trainer.config.data import OwnData
from trainer.data.images import ImageSet, Split, class_names, mean_and_std
from trainer.own import parts as own
from trainer.own.source import Source

_FORM = "return (images, labels), (test_images, test_labels), and the names of the classes, if they have any"


def read_own(data: OwnData) -> ImageSet:
    """Return the set that a function of the user's makes. Raises ConfigError for what is not images and labels."""
    source = own.source_of("data", data)
    made = own.build("data", data)
    if not isinstance(made, tuple | list) or len(made) not in (2, 3):
        raise source.mistake(f"makes {own.described(made)}; {_FORM}")
    parts = cast("Sequence[Any]", made)
    train, test = (_split(source, part, where) for part, where in zip(parts, ("training", "test"), strict=False))
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = " and ".join("x".join(map(str, split.images.shape[1:])) for split in (train, test))
        raise source.mistake(f"training and test images are of two sizes: {sizes}")
    names = class_names(
        _names(source, parts[2]) if len(parts) == 3 else None, torch.cat([train.labels, test.labels]), source.mistake
    )
    mean, std = mean_and_std(train.images)
    return ImageSet(data.name, names, mean, std, train, test)


def _split(source: Source, part: Any, where: str) -> Split:
    if not isinstance(part, tuple | list) or len(cast("Sequence[Any]", part)) != 2:
        raise source.mistake(f"its {where} part is {own.described(part)}; {_FORM}")
    images, labels = (_tensor(each) for each in cast("Sequence[Any]", part))
    if images is None or images.ndim != 4 or images.dtype != torch.uint8 or images.shape[2] != images.shape[3]:
        shown = f"{own.described(part[0])}{f' {images.dtype}' if images is not None else ''}"
        raise source.mistake(f"its {where} images are {shown}, not [N, C, H, H] uint8 in 0..255")
    if 0 in images.shape[1:]:
        raise source.mistake(f"its {where} images are {'x'.join(map(str, images.shape[1:]))}, which has no pixels")
    if labels is None or labels.ndim != 1 or not _is_whole(labels):
        raise source.mistake(f"its {where} labels are {own.described(part[1])}, not [N] whole numbers")
    if not len(images):
        raise source.mistake(f"it has no {where} images")
    if len(labels) != len(images):
        raise source.mistake(f"{len(images)} {where} images, but {len(labels)} labels")
    labels = labels.long()  # torch has no least of the larger unsigned numbers
    if labels.min() < 0:
        raise source.mistake(f"a label is {int(labels.min())}; the first class is 0")
    return Split(images.contiguous(), labels)


def _is_whole(labels: Tensor) -> bool:
    return not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)


def _names(source: Source, given: Any) -> list[str] | None:
    """Return the names of the classes, or None if there are none."""
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise source.mistake(f"its names of the classes are {own.described(given)}, not a list of texts")
    return [*map(str, cast("Iterable[Any]", given))]


def _tensor(values: Any) -> Tensor | None:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        return torch.from_numpy(np.array(values))  # a copy, since an array may be read only
    except (TypeError, ValueError):
        return None
