"""What all sections share: strict about unknown keys, frozen once loaded, documented under the field."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


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
    def _a_truth_value_is_no_number(cls, values: Any) -> Any:
        # Pydantic reads True as 1; `train.epochs=true` is a slip of the keyboard, not one epoch.
        for key, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(key)
            if isinstance(value, bool) and field and not _mentions(field.annotation, bool):
                raise ValueError(f"{key}: {value!r} is true or false, and this key takes neither")
        return values


def _mentions(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_mentions(part, kind) for part in get_args(annotation))
