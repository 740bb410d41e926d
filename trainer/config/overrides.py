"""Nested settings from `KEY=VALUE` overrides or the keys of a YAML file, and layers of them merged into one.

A W&B agent writes `key=value` with Python literals (`True`, `None`, `[1, 2]`, `{'a': 1}`). A person writes JSON or
plain text. All of them are read here, and the config's field decides the type.
"""

import ast
import json
import os
import re
import shlex
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from trainer.config.base import is_settings
from trainer.config.data import Parts
from trainer.config.text_keys import text_types
from trainer.errors import ConfigError

Settings = dict[str, Any]


def read_value(text: str) -> Any:
    """Read JSON, or else a Python literal, or else plain text: `1e-3`, `true`, `True`, `None`, `[3, 3]`, `cosine`.

    A list may contain plain text, since a shell takes its quotes away: `[a, b]`.
    """
    for read in (json.loads, _literal):
        try:
            value = read(text)
            if _is_plain(value):
                return value
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    items = [item.strip() for item in text[1:-1].split(",")]
    if re.fullmatch(r"""\[[^][{}()"']+\]""", text) and all(items):
        return [read_value(item) for item in items]
    return text


def read_word(key: str, text: str) -> Any:
    """Return what `KEY=TEXT` means. A field of text gets numbers and truth values as typed: `sink.wandb.group=12e4567`.

    A number that is typed as it is printed stays one, which the field makes the same text of. So points of sweeps that
    were begun keep their names.
    """
    value, kinds = read_value(text), text_types(key)
    if not kinds:
        return value
    if isinstance(value, list | tuple):
        inside = text.strip()
        inside = inside[1:-1] if inside[0] in "[(" else inside  # 1.50,2.5 is a list, too
        items, texts = cast("list[Any]", value), _ITEM.findall(inside)
        if len(items) != len(texts):  # lists in it, which no field of text takes
            return items
        return [_as_typed(item, each.strip(), kinds) for item, each in zip(items, texts, strict=True)]
    return _as_typed(value, text, kinds)


_ITEM = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^,\s][^,]*""")
_PRINTED = re.compile(r"-?(0|[1-9]\d*)")


def _as_typed(value: Any, text: str, kinds: frozenset[type]) -> Any:
    if isinstance(value, bool):
        return text
    printed = _PRINTED.fullmatch(text) if isinstance(value, int) else str(value) == text
    return text if isinstance(value, int | float) and (Path in kinds or not printed) else value


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's compiler has words about `1or`
        return ast.literal_eval(text)


def _is_plain(value: Any) -> bool:
    """Return whether a value has JSON's types. Python's literals are also bytes, sets, complex numbers and `...`."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in cast("dict[Any, Any]", value).items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, cast("list[Any]", value)))
    return value is None or isinstance(value, bool | int | float | str)


def canonical(value: Any) -> Any:
    """Return one form for values that are equal after JSON, which may make 1 of 1.0 but not of true."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [canonical(item) for item in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def as_typed(*parts: object) -> str:
    """Return a command as you would type it: a path with a space is quoted."""
    return shlex.join(map(str, parts))


def write_override(key: str, value: Any) -> str:
    """Return the `KEY=VALUE` from which `read_overrides` reads exactly this value: `act=gelu`, `stem=[3, 3]`.

    For a field of text it may be the text that the field makes of a number. A path is text, and values of NumPy and
    torch are those of Python. Raises ConfigError for anything else.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str]", value))
    if isinstance(value, str) and _is(read_word(key, value), value):
        return f"{key}={value}"
    try:
        return f"{key}={json.dumps(value, default=_of_python)}"
    except (TypeError, ValueError) as error:
        what = type(value).__name__
        raise ConfigError(f"{key}: {value!r} is a {what}, not text, a number or a list of these") from error


def _of_python(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def _is(read: Any, value: Any) -> bool:
    return type(read) is type(value) and read == value


def read_overrides(overrides: Iterable[str]) -> Settings:
    """Return nested settings from `KEY=VALUE` or `--KEY=VALUE` with dotted keys. The last one for a key counts.

    Raises ConfigError that names every string of another form.
    """
    flat: Settings = {}
    broken: list[str] = []
    for override in overrides:
        key, equals, text = override.removeprefix("--").partition("=")
        if not equals or not key or not all(part.isidentifier() for part in key.split(".")):
            broken.append(f"{override!r}: expected KEY=VALUE, such as optimizer.lr=0.1")
        else:
            flat.pop(key, None)
            flat[key] = read_word(key, text)
    if broken:
        raise ConfigError(*broken)
    return nest(flat)


def nest(settings: Mapping[Any, Any]) -> Settings:
    """Turn dotted keys into nested ones: {"optimizer.lr": 1} and {"optimizer": {"lr": 1}} are the same."""
    nested: Settings = {}
    for key, value in settings.items():
        *sections, leaf = str(key).split(".")
        place = nested
        for depth, section in enumerate(sections):
            inner = place.setdefault(section, {})
            if not is_settings(inner):
                raise ConfigError(f"{'.'.join(sections[: depth + 1])}: given both as a value and as a section")
            place = inner
        value = nest(value) if is_settings(value) else value
        if is_settings(value) and is_settings(place.get(leaf)):
            place[leaf] = lay_over(place[leaf], value)
        else:
            place[leaf] = value
    return nested


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Settings:
    """Return the leaves of nested settings under dotted keys. Lists, and sections without keys, are leaves."""
    flat: Settings = {}
    for key, value in settings.items():
        if is_settings(value) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def lay_over(base: Settings, layer: Mapping[str, Any]) -> Settings:
    """Return `base` with `layer` on top. A section whose `name` changes drops the keys of the old choice, whatever the
    order of the overrides. Only those of `data` that choose a part of any set stay."""
    if "name" in layer and base.get("name", layer["name"]) != layer["name"]:
        base = {key: value for key, value in base.items() if key in Parts.model_fields}
    merged = dict(base)
    for key, value in layer.items():
        old = base.get(key)
        merged[key] = lay_over(old, value) if is_settings(old) and is_settings(value) else value
    return merged
