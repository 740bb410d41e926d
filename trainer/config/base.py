"""The base of all sections: strict about unknown keys, frozen once loaded, documented under the field."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def is_settings(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a value is a mapping of keys to values, as YAML, JSON and overrides produce it."""
    return isinstance(value, dict)


@dataclass(frozen=True)
class ChangesNoNumber:
    """A mark on a key or section that leaves every number of a run as it is. A resume may change such a key."""


@dataclass(frozen=True)
class Younger:
    """A mark on a key that is younger than runs in archives, which mean its default. There it enters no hash."""


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(core_schema)
        keys = handler.resolve_ref_schema(found)["properties"]
        for key, meaning in meanings(cls).items():
            if key in keys:
                keys[key]["description"] = meaning
        return found

    @model_validator(mode="before")
    @classmethod
    def _no_zero_is_negative(cls, values: object) -> object:
        # The text of -0.0 differs from that of 0.0, and with it the hash of a configuration.
        if not is_settings(values):
            return values
        return {key: 0.0 if isinstance(value, float) and not value else value for key, value in values.items()}

    @model_validator(mode="before")
    @classmethod
    def _a_truth_value_is_no_number(cls, values: object) -> object:
        # Pydantic would read True as 1, but `train.epochs=true` is a typing error. As text it is refused like any other
        # text. A validator on each field is not possible: none may come before a union's tag.
        if not is_settings(values):
            return values
        fields = cls.model_fields
        numbers = {key for key in values.keys() & fields if not _mentions(fields[key].annotation, bool)}
        return {k: str(v).lower() if k in numbers and isinstance(v, bool) else v for k, v in values.items()}


def meanings(section: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each field, from its class or from the base that declares it, by key.

    Pydantic's own `use_attribute_docstrings` reads the source whenever a class is made, which is a fifth of the time
    that every command takes to start.
    """
    bases = [base for base in reversed(section.__mro__) if issubclass(base, BaseModel) and base is not BaseModel]
    return {key: meaning for base in bases for key, meaning in _under_fields(base).items()}


@cache
def _under_fields(section: type[BaseModel]) -> dict[str, str]:
    try:
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    except (OSError, TypeError):  # made of arguments, without source
        return {}
    assert isinstance(parsed, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(parsed.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def _mentions(annotation: Any, kind: type) -> bool:
    return annotation in (kind, Any) or any(_mentions(part, kind) for part in get_args(annotation))
