"""What all sections share: strict about unknown keys, frozen once loaded, documented under the field."""

from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, model_validator


def is_settings(value: object) -> TypeGuard[dict[str, Any]]:
    """A mapping of keys to values, as YAML, JSON and the words of a command line make it."""
    return isinstance(value, dict)


@dataclass(frozen=True)
class ChangesNoNumber:
    """Marks a key, or a whole section, that leaves every number of a run as it is: where it computes and reports."""


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
        # Pydantic would read True as 1; `train.epochs=true` is a slip of the keyboard, not one epoch. As the word that
        # was typed it is refused like any other. (A validator of each field may not stand before a union's tag.)
        if not is_settings(values):
            return values
        fields = cls.model_fields
        numbers = {key for key in values.keys() & fields if not _mentions(fields[key].annotation, bool)}
        return {k: str(v).lower() if k in numbers and isinstance(v, bool) else v for k, v in values.items()}


def _mentions(annotation: Any, kind: type) -> bool:
    return annotation in (kind, Any) or any(_mentions(part, kind) for part in get_args(annotation))
