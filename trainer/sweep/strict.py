"""The base of a sweep file's sections. W&B's schema makes no number of text, no text of a number, and takes no null."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, model_validator

from trainer.config.base import Section, is_settings


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, also as 5.0: to JSON's schemas that is one."""


class StrictSection(Section):
    model_config = ConfigDict(strict=True, coerce_numbers_to_str=False)

    @model_validator(mode="before")
    @classmethod
    def _a_truth_value_is_no_number(cls, values: object) -> object:
        return values  # nor text, in strict mode

    @model_validator(mode="before")
    @classmethod
    def _no_key_is_empty(cls, values: Any) -> Any:
        if is_settings(values):
            if unnamed := [key for key in values if not isinstance(key, str)]:
                raise ValueError(f"{unnamed[0]!r}: no such key; quote it if it is text")
            if empty := [key for key, value in values.items() if value is None and key in cls.model_fields]:
                raise ValueError(f"{empty[0]}: empty; give it a value or leave it out")
        return values
