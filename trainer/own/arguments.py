"""Arguments of a function or class as config keys: its signature becomes a Pydantic model, which explains mistakes."""

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import ValidationError, create_model

from trainer.config.base import Section
from trainer.config.explain import explain
from trainer.errors import ConfigError

_PLAIN = (bool, int, float, str, NoneType)
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
NEEDED: Any = inspect.Parameter.empty
"""The default of an argument that needs a value."""


@dataclass(frozen=True)
class Option:
    """An argument that is a key."""

    default: Any
    annotation: Any  # for Pydantic
    values: str  # as you type them
    tried: bool = False  # whether the part is built to check a value


_ANY = Option(None, Any, "any value")


@dataclass(frozen=True)
class Signature:
    """The arguments of a callable behind those that it gets by place."""

    options: Mapping[str, Option]  # of plain types: keys
    defaults: Mapping[str, Any]  # of all names, also those of other types


def read_signature(part: Callable[..., Any], place: Collection[str], *, passed_on: Collection[str] = ()) -> Signature:
    """Return the signature behind the arguments `place`, whatever their names are there.

    One with `**kwargs` also has the arguments `passed_on`.

    An argument whose values cannot be typed, such as a function, is no key and keeps its default. Raises ValueError, in
    words, for too few arguments by place, for one that needs a value but can have none, or if there is no signature.
    """
    try:
        parameters = list(_signature(part).parameters.values())
    except (TypeError, ValueError) as error:
        raise ValueError("its arguments cannot be read") from error
    named = ", ".join(each.name for each in parameters)
    stars = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    by_place = [each for each in parameters if each.kind in _BY_PLACE]
    if len(by_place) < len(place) and not stars:
        raise ValueError(f"takes ({named}), but gets ({', '.join(place)}) by place")
    behind = [each for each in parameters if each not in by_place[: len(place)]]
    options: dict[str, Option] = {}
    for each in behind:
        if each.kind is inspect.Parameter.POSITIONAL_ONLY and each.default is NEEDED:
            raise ValueError(f"its argument {each.name!r} has no default, and no name by which it could be given")
        if each.kind in _BY_NAME and (annotation := _annotation(each)) is not None:
            options[each.name] = Option(_listed(each.default), annotation, in_words(annotation))
    defaults = {each.name: each.default for each in behind if each.kind in _BY_NAME}
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        defaults = dict.fromkeys(passed_on) | defaults
    return Signature(options, defaults)


def section_of(
    key: str, name: str, options: Mapping[str, Option], *, extra: Literal["allow", "forbid"] = "forbid"
) -> type[Section]:
    """Return a section whose field `key` is the choice `name` with these arguments, and perhaps `extra` ones."""
    fields: dict[str, Any] = {
        each: (option.annotation, ... if option.default is NEEDED else option.default)
        for each, option in options.items()
    }
    fields["name"] = (Literal[name], name)
    chosen = create_model(name, __base__=Section, __cls_kwargs__={"extra": extra}, **fields)
    return create_model("Whole", __base__=Section, **cast("Any", {key: (chosen, ...)}))


def read_values(
    key: str, name: str, options: Mapping[str, Option], values: Mapping[str, Any], *, beside: Collection[str] = ()
) -> dict[str, Any]:
    """Return a value for each option, in its type: the given one or its default.

    `key` is the section, `name` the choice in it, `beside` its other keys, which are known but not read here. Raises
    ConfigError with a line for each wrong key and value.
    """
    whole = section_of(key, name, {**dict.fromkeys(beside, _ANY), **options})
    try:
        read = getattr(whole.model_validate({key: {"name": name, **values}}), key)
    except ValidationError as error:
        raise ConfigError(*explain(error, whole)) from error
    return read.model_dump(include=set(options))


def in_words(annotation: Any) -> str:
    """Return a type as a table shows it: `int`, `relu | gelu`, `list of int`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return in_words(inner[0])
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, UnionType):
        return " | ".join(map(in_words, inner))
    if origin in (tuple, list):
        return f"list of {in_words(inner[0])}"
    return "null" if annotation is NoneType else getattr(annotation, "__name__", "any value")


def _signature(part: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(part, eval_str=True)
    except NameError:  # a type that is imported for checkers only
        return inspect.signature(part)


def _annotation(parameter: inspect.Parameter) -> Any:
    """Return the type of an argument's values, None if they cannot be typed on a command line."""
    default, said = parameter.default, parameter.annotation
    if said is inspect.Parameter.empty or isinstance(said, str) or said is Any:
        said = _type_of(default)
    said = tuple[Any, ...] if said in (list, tuple) else said
    if said is None or not _is_plain(said) or not _can_be_key(parameter):
        return None
    return said | None if default is None and said is not Any and not _takes_none(said) else said


def _can_be_key(parameter: inspect.Parameter) -> bool:
    """Return whether Pydantic takes the name, and JSON the default."""
    allowed = parameter.name != "model_config" and not parameter.name.startswith("_")
    return allowed and not (isinstance(parameter.default, float) and not math.isfinite(parameter.default))


def _type_of(default: Any) -> Any:
    """Return the type for an argument that has only a default."""
    if default is NEEDED or default is None:
        return Any
    if isinstance(default, bool):
        return bool
    if isinstance(default, int):
        return int | float
    if isinstance(default, list | tuple):
        kinds = {type(each) for each in cast("list[Any]", default)}
        return tuple[Any, ...] if kinds <= set(_PLAIN) else None
    return type(default) if type(default) in _PLAIN else None


def _is_plain(annotation: Any) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is Any or annotation in _PLAIN or origin is Literal:
        return True
    if origin is Annotated:
        return _is_plain(inner[0])
    return origin in (tuple, list, Union, UnionType) and all(_is_plain(each) or each is Ellipsis for each in inner)


def _takes_none(annotation: Any) -> bool:
    return annotation is NoneType or NoneType in get_args(annotation)


def _listed(default: Any) -> Any:
    return tuple(cast("list[Any]", default)) if isinstance(default, list) else default
