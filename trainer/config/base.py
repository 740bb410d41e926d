"""The base of all sections: strict about unknown keys, frozen once loaded, documented under the field."""

from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, model_validator


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
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )

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


def _mentions(annotation: Any, kind: type) -> bool:
    return annotation in (kind, Any) or any(_mentions(part, kind) for part in get_args(annotation))
