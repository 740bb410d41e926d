"""The docstring under a field is its meaning, in the JSON schema and in the docs. A zero has one sign."""

from typing import Any

from pydantic import create_model

from trainer.config.base import Section, meanings
from trainer.config.run import RunConfig


class Rate(Section):
    lr: float = 0.1
    """Peak rate,
    of each step."""
    silent: int = 0


class Momentum(Rate):
    lr: float = 0.2
    momentum: float = 0.9
    """Share of the last step."""


def test_a_meaning_is_that_of_the_class_or_of_the_base_that_declares_it() -> None:
    assert meanings(Rate) == {"lr": "Peak rate,\nof each step."}
    assert meanings(Momentum) == {"lr": "Peak rate,\nof each step.", "momentum": "Share of the last step."}
    made: Any = create_model("Made", __base__=Momentum, width=(int, 3))  # without source of its own
    assert meanings(made) == meanings(Momentum)


def test_the_json_schema_has_the_meaning_of_every_key_that_has_one() -> None:
    found = Momentum.model_json_schema()["properties"]
    assert {key: each.get("description") for key, each in found.items()} == {
        "lr": "Peak rate,\nof each step.", "silent": None, "momentum": "Share of the last step.",
    }  # fmt: skip
    whole = RunConfig.model_json_schema()
    assert whole["properties"]["seed"]["description"].startswith("Seed of initialisation")
    assert whole["$defs"]["Adam"]["properties"]["lr"]["description"].startswith("Peak learning rate.")


def test_a_negative_zero_is_no_other_configuration() -> None:
    """Before: two hashes, so two configurations with a run each."""
    assert str(Rate.model_validate({"lr": -0.0}).lr) == "0.0"
