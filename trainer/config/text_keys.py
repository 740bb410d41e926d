"""Keys whose fields hold text. `sink.wandb.group=12e4567` is a name there, not a number."""

from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from trainer.config.explain import section_types
from trainer.config.run import RunConfig


@lru_cache(maxsize=4096)
def text_types(key: str) -> frozenset[type]:
    """Return str, Path or both if each field with this dotted key holds text or a list of text, otherwise nothing.

    Choices may have a key in common: `data.root` is a path in every set that has it.
    """
    *path, leaf = key.split(".")
    sections = [RunConfig]
    for part in path:
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        sections = [each for field in fields for each in section_types(field.annotation)]
    fields = [section.model_fields[leaf] for section in sections if leaf in section.model_fields]
    found = {kind for field in fields for kind in _kinds(field.annotation)} - {NoneType}
    return frozenset(found) if found <= {str, Path} else frozenset()


def _kinds(annotation: Any) -> set[Any]:
    """Return the plain types in a field's type: {str, NoneType} of `tuple[str, ...] | None`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kinds(inner[0])
    if origin is Literal:
        return {type(choice) for choice in inner}
    if origin in (Union, UnionType, tuple, list):
        return {kind for each in inner if each is not Ellipsis for kind in _kinds(each)}
    return {annotation}
