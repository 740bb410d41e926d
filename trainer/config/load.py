"""From words, files and recipes to a validated RunConfig, with the origin of each value.

Layers, each over the one before: defaults < recipe < `--config FILE` < `KEY=VALUE` words and flags.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.config.base import is_settings
from trainer.config.explain import explain
from trainer.config.model import Model
from trainer.config.overrides import Settings, flatten, lay_over, read_overrides
from trainer.config.recipes import read_recipe, read_settings_file, recipe_names
from trainer.config.run import RunConfig
from trainer.errors import ConfigError

Complete = Callable[[Mapping[str, Any], RunConfig | None], tuple[list[str], dict[str, Any]]]
"""(all settings, the config where they are valid) -> (problems, all arguments of the network): what needs models or
timm to be seen. Handed in, because neither may be imported here."""


@dataclass(frozen=True)
class LoadedConfig:
    config: RunConfig
    origins: dict[str, str]  # dotted key -> where its value came from


def load_config(
    words: Iterable[str] = (),
    *,
    recipe: str | None = None,
    file: Path | None = None,
    complete: Complete | None = None,
) -> LoadedConfig:
    """Resolve all layers. Raises ConfigError with every mistake at once, a line each.

    A recipe is named by `recipe`, else by a `recipe` key among the words or in the file, else it is the one that
    has the network's own name; `none` is no recipe. A recipe may itself start from another by a `recipe` key.
    """
    written, from_file = read_overrides(words), read_settings_file(file) if file else {}
    named = [layer.pop("recipe", None) for layer in (written, from_file)]
    asked = next((name for name in (recipe, *named) if name is not None), None)
    layers = [(f"file {file}", from_file), ("command line", written)]
    layers = _recipe_layers(str(asked) if asked is not None else _own_recipe(from_file, written)) + layers

    merged, origins = RunConfig().model_dump(), dict[str, str]()
    for origin, layer in layers:
        merged = lay_over(merged, layer)
        kept = flatten(merged).keys()  # a changed name has dropped the old choice's knobs, and with them their origins
        origins = {key: before for key, before in origins.items() if key in kept} | dict.fromkeys(
            flatten(layer), origin
        )
    config = validate(merged, complete)
    return LoadedConfig(config, {key: origins.get(key, "default") for key in flatten(config.model_dump())})


def validate(settings: Mapping[str, Any], complete: Complete | None = None) -> RunConfig:
    """A RunConfig of nested settings, the network's own defaults in it where `complete` knows them.

    Raises ConfigError with every mistake, those that `complete` finds included.
    """
    problems: list[str] = []
    config: RunConfig | None = None
    try:
        config = RunConfig.model_validate(settings)
    except ValidationError as error:
        problems += explain(error, RunConfig)
    found, arguments = complete(settings, config) if complete else ([], None)
    problems += found
    if problems or config is None:
        raise ConfigError(*problems)
    if arguments is None:
        return config
    return config.model_copy(update={"model": Model.model_validate({"name": config.model.name, **arguments})})


def read_settings(words: Iterable[str], file: Path | None) -> Settings:
    """Nested settings of a file and of words over it, unchecked: what a resume is asked to go on with."""
    settings = lay_over(read_settings_file(file) if file else {}, read_overrides(words))
    settings.pop("recipe", None)  # where a run began, not what it is
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
