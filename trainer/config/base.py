"""What all sections share: strict about unknown keys, frozen once loaded, documented under the field."""

from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, model_validator


def is_settings(value: object) -> TypeGuard[dict[str, Any]]:
    """A mapping of keys to values, as YAML, JSON and the words of a command line make it."""
    return isinstance(value, dict)


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
        # Pydantic reads True as 1; `train.epochs=true` is a slip of the keyboard, not one epoch.
        for key, value in values.items() if is_settings(values) else ():
            field = cls.model_fields.get(key)
            if isinstance(value, bool) and field and not _mentions(field.annotation, bool):
                raise ValueError(f"{key}: {value!r} is true or false, and this key takes neither")
        return values


def _mentions(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_mentions(part, kind) for part in get_args(annotation))
