"""Every config key with its type, default and meaning, read off the config classes: docs/choices.md."""

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trainer.config import RunConfig
from trainer.config.explain import section_types

_KINDS = {int: "whole number", float: "number", bool: "true or false", str: "word", dict: "keys and values"}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def choices_page() -> str:
    """docs/choices.md."""
    parts = [_HEAD]
    scalars = [(key, field) for key, field in RunConfig.model_fields.items() if not section_types(field.annotation)]
    parts.append(_table(scalars))
    for key, field in RunConfig.model_fields.items():
        parts += _section(key, field, depth=2)
    return "\n".join(parts)


_HEAD = """# Every choice

Each key can be set on the command line (`KEY=VALUE`), in a `--config` file and in a sweep. Where a section has a
`name`, the name decides which other keys it has; changing it drops the old choice's. `make docs` writes this page
from the config classes. The keys of `model` are the arguments of its network: see `trainer models NAME`.
"""


def _section(key: str, field: FieldInfo, depth: int) -> Iterator[str]:
    """A section, or each choice of a union of sections, with the sections in it."""
    options = section_types(field.annotation)
    if not any(option.model_fields for option in options):
        return
    yield f"{'#' * depth} `{key}`\n"
    tables = [_rows(option, key, named=len(options) == 1) for option in options]
    shared = {row for row in tables[0] if all(row in table for table in tables)} if len(tables) > 1 else set[str]()
    for option, table in zip(options, tables, strict=True):
        named = option.model_fields.get("name")
        if len(options) > 1 and named:
            name = named.default if isinstance(named.default, str) else "timm/NAME"
            default = "(the default)" if option is type(field.get_default(call_default_factory=True)) else ""
            yield " ".join(filter(None, [f"**`{key}.name={name}`**", default, _about(option)])) + "\n"
        elif about := _about(option):
            yield f"{about}\n"
        own = [row for row in table if row not in shared]
        if own:
            yield _HEADER + "\n".join(own) + "\n"
    if shared:
        yield f"All of `{key}` take:\n"
        yield _HEADER + "\n".join(row for row in tables[0] if row in shared) + "\n"
    inner = {
        name: each for option in options for name, each in option.model_fields.items() if section_types(each.annotation)
    }
    for name, each in inner.items():
        yield from _section(f"{key}.{name}", each, depth + 1)


_HEADER = "| key | type | default | meaning |\n|---|---|---|---|\n"


def _table(fields: list[tuple[str, FieldInfo]]) -> str:
    return _HEADER + "\n".join(_row(key, field, field.description or "") for key, field in fields) + "\n"


def _rows(option: type[BaseModel], prefix: str, *, named: bool) -> list[str]:
    """A row for each plain key; `name` is one of them where it does not choose between options."""
    fields = option.model_fields.items()
    plain = [(key, field) for key, field in fields if not section_types(field.annotation) and (named or key != "name")]
    return [_row(f"{prefix}.{key}", field, _meaning(option, key)) for key, field in plain]


def _meaning(option: type[BaseModel], key: str) -> str:
    """What is written under the field, here or where it was first declared."""
    lineage = [base.model_fields for base in option.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]
    said = (fields[key].description for fields in lineage if key in fields)
    return next(filter(None, said), "")


def _row(key: str, field: FieldInfo, meaning: str) -> str:
    default = "required" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
    meaning = " ".join(meaning.split()).replace("|", "\\|")
    return f"| `{key}` | {_kind(field.annotation, field.metadata)} | {default} | {meaning} |"


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """A type in words: `number > 0`, `a or b`, `list: whole number`."""
    bounds = [f"{_SIGNS[sign]} {value:g}" for each in metadata for sign, value in _bounds(each)]
    return " ".join([_plain_kind(annotation), *bounds])


def _bounds(constraint: Any) -> Iterator[tuple[str, float]]:
    for sign in _SIGNS:
        if (value := getattr(constraint, sign, None)) is not None:
            yield sign, value
    for inner in getattr(constraint, "metadata", ()):
        yield from _bounds(inner)


def _plain_kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], list(arguments[1:]))
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join("null" if each is NoneType else _plain_kind(each) for each in arguments)
    if origin is tuple:
        return f"list: {_plain_kind(arguments[0])}"
    return _KINDS.get(origin or annotation, "path" if "Path" in str(annotation) else str(annotation))


def _shown(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _about(option: type[BaseModel]) -> str:
    own = option.__doc__ if option.__doc__ and option.__doc__ != BaseModel.__doc__ else ""
    return re.sub(r"\s+", " ", own).strip()
