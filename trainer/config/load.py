"""A validated RunConfig from overrides, a file and a recipe, with the origin of each value.

Each layer replaces values of the one before: defaults < recipe < `--config FILE` < `KEY=VALUE` overrides and flags.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.config.base import is_settings
from trainer.config.explain import explain
from trainer.config.model import Model
from trainer.config.overrides import Settings, flatten, lay_over, nest, read_overrides
from trainer.config.recipes import read_recipe, read_settings_file, recipe_names
from trainer.config.run import RunConfig
from trainer.config.sink import forbidden_names
from trainer.errors import ConfigError

Complete = Callable[[Mapping[str, Any], RunConfig | None], tuple[list[str], dict[str, Any]]]
"""(all settings, the config if they are valid) -> (problems, whole sections by dotted key): the checks that need
models, timm or own parts. It is a parameter because none of them may be imported here."""


@dataclass(frozen=True)
class LoadedConfig:
    """A config, and the layer that set each value."""

    config: RunConfig
    origins: dict[str, str]  # dotted key -> origin of its value


def load_config(
    overrides: Iterable[str] = (),
    *,
    recipe: str | None = None,
    file: Path | None = None,
    complete: Complete | None = None,
) -> LoadedConfig:
    """Resolve all layers. Raises ConfigError with every mistake at once, a line each.

    The recipe is `recipe`, or else the `recipe` key of the overrides or of the file, or else the one with the network's
    own name. `none` is no recipe. A recipe may start from another one with a `recipe` key of its own.
    """
    given, from_file = read_overrides(overrides), read_settings_file(file) if file else {}
    named = [layer.pop("recipe", None) for layer in (given, from_file)]
    asked = next((name for name in (recipe, *named) if name is not None), None)
    layers = [(f"file {file}", from_file), ("command line", given)]
    layers = _recipe_layers(str(asked) if asked is not None else _own_recipe(from_file, given)) + layers

    merged, origins = RunConfig().model_dump(), dict[str, str]()
    for origin, layer in layers:
        merged = lay_over(merged, layer)
        kept = flatten(merged).keys()  # a new name drops the keys of the old choice, and their origins
        origins = {key: before for key, before in origins.items() if key in kept} | dict.fromkeys(
            flatten(layer), origin
        )
    config = validate(merged, complete)
    if forbidden := forbidden_names(config.sink.wandb):
        raise ConfigError(*forbidden)
    return LoadedConfig(config, {key: origins.get(key, "default") for key in flatten(config.model_dump())})


def validate(settings: Mapping[str, Any], complete: Complete | None = None) -> RunConfig:
    """Return a RunConfig of nested settings, with the defaults of the network that `complete` knows.

    Raises ConfigError with every mistake, including those that `complete` finds.
    """
    problems: list[str] = []
    config: RunConfig | None = None
    try:
        config = RunConfig.model_validate(settings)
    except ValidationError as error:
        problems += explain(error, RunConfig)
    more_problems, sections = complete(settings, config) if complete else ([], {})
    problems += more_problems
    if problems or config is None:
        raise ConfigError(*problems)
    return with_sections(config, sections)


def with_sections(config: RunConfig, sections: Mapping[str, Mapping[str, Any]]) -> RunConfig:
    """Return a config with whole sections, by dotted key, in place of its own."""
    others = {key: dict(section) for key, section in sections.items() if key != "model"}
    if others:
        config = RunConfig.model_validate(lay_over(config.model_dump(), nest(others)))
    if "model" in sections:
        config = config.model_copy(update={"model": Model.model_validate(sections["model"])})
    return config


def as_stored(settings: Settings) -> Settings:
    """Return the settings of a stored run, with what a key that they lack meant when they were stored.

    A key of that kind was added later, with a default that changes numbers.
    """
    train = settings.get("train")
    if is_settings(train) and is_settings(train.get("ema")):
        return lay_over({"train": {"ema": {"warmup": False}}}, settings)
    return settings


def read_settings(overrides: Iterable[str], file: Path | None) -> Settings:
    """Return the nested settings of a file with overrides on top, unchecked, for a resume."""
    settings = lay_over(read_settings_file(file) if file else {}, read_overrides(overrides))
    settings.pop("recipe", None)  # the origin of a run, not part of its config
    return settings


def _own_recipe(*layers: Settings) -> str:
    name = RunConfig().model.name
    for layer in layers:
        model = layer.get("model")
        name = model.get("name", name) if is_settings(model) else name
    return str(name) if name in recipe_names() else "none"


def _recipe_layers(name: str, seen: tuple[str, ...] = ()) -> list[tuple[str, Settings]]:
    if name == "none":
        return []
    if name in seen:
        raise ConfigError(f"recipe {name}: starts from itself ({' > '.join((*seen, name))})")
    settings = read_recipe(name)
    parent = settings.pop("recipe", "none")
    return [*_recipe_layers(str(parent), (*seen, name)), (f"recipe {name}", settings)]
