"""Messages about mistakes in a config, one line each: the key as it is typed, the value, the nearest right one."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
"""Mistakes of a value of the right kind. Another member of a union only says that it is of another kind."""


def did_you_mean(word: object, known: Iterable[str], *, prefix: str = "", suffix: str = "") -> str:
    """Return `; did you mean 'lr'?`, or the whole list if it is short, or nothing.

    `prefix` and `suffix` are around each name, and do not count for likeness. Nor do capitals: `AdamW` is nearer to
    `adamw` than to `adam`.
    """
    names = sorted(known)
    folded = {name.casefold(): name for name in names}
    if near := get_close_matches(str(word).casefold(), folded, n=1):
        return f"; did you mean {prefix + folded[near[0]] + suffix!r}?"
    return f"; one of {', '.join(name + suffix for name in names)}" if 0 < len(names) <= 20 else ""


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return one line for each wrong key of Pydantic's report."""
    told: dict[str, str] = {}
    for detail in error.errors():  # every member of a union reports the same key
        line = _line(detail, root)
        key = line.partition(":")[0]
        if key not in told or detail["type"] in _LIMITS:
            told[key] = line
    return list(told.values())


def _line(detail: ErrorDetails, root: type[BaseModel]) -> str:
    keys, section, known = _walk(detail["loc"], root)
    key, value = ".".join(keys), detail["input"]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            owner = f"{section} has no such field" if section else "no such key"
            return f"{key}: {owner}{did_you_mean(keys[-1], known)}"
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
            return f"{key}.name: no {key} is called {context['tag']!r}{did_you_mean(context['tag'], tags)}"
        case "model_type" | "model_attributes_type" | "dict_type" | "union_tag_not_found":
            return f"{key}: {value!r} is not a section; write its keys as {key}.KEY=VALUE{did_you_mean('', known)}"
        case "literal_error":
            # Literals are quoted, but for `False`, which YAML writes `false`.
            choices = [
                choice.strip("'") if choice.startswith("'") else choice.lower()
                for choice in re.split(r", | or ", str(context["expected"]))
            ]
            if choices == ["none"]:  # the closed half of a union with own parts
                return f"{key}: {value!r} is neither none nor FILE.py:NAME, a name in a file of yours"
            return f"{key}: {value!r} is not a choice{did_you_mean(value, choices)}"
        case "tuple_type":
            return f"{key}: {value!r} is not a list" + (f"; write {key}=[{value}]" if _is_plain(value) else "")
        case "path_type":
            return f"{key}: {value!r} is not a path"
        case "missing":
            return f"{key}: needs a value, and none was given"
        case "value_error":
            return f"{key}: {context['error']}" if key else str(context["error"])  # a check of several keys names them
        case _:
            message = detail["msg"]
            return f"{key}: {value!r}: {message[0].lower()}{message[1:]}"


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)


def _walk(loc: Sequence[int | str], model: type[BaseModel]) -> tuple[list[str], str, list[str]]:
    """Return (the keys of `loc` without Pydantic's union tags, the choice at their end, the keys that exist there)."""
    keys: list[str] = []
    here: type[BaseModel] | None = model
    choice = ""
    rest = list(loc)
    while rest:
        part = rest.pop(0)
        keys.append(str(part))
        field = here.model_fields.get(str(part)) if here else None
        if field is None:
            break
        options = section_types(field.annotation)
        if not options:
            break
        if len(options) > 1 and rest and rest[0] in ("closed", "own"):  # config/own.py
            own = rest.pop(0) == "own"
            options = [option for option in options if option.__name__.startswith("Own") == own]
        if len(options) > 1:
            tag = rest.pop(0) if rest else None
            here = next((o for o in options if tag in (o.model_fields["name"].default, o.__name__.lower())), None)
        else:
            here = options[0]
        if here:
            name = here.model_fields.get("name")
            choice = str(name.default) if name and get_origin(name.annotation) is Literal else str(part)
    keys += [str(part) for part in rest if isinstance(part, int)]
    return keys, choice, list(here.model_fields) if here else []


def section_types(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections in a field's type: one, or the choices of a union, or none for a plain value."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [model for part in get_args(annotation) for model in section_types(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
