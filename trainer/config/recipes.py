"""Named starting points: YAML files in `trainer/recipes/`. A network starts from the recipe with its name, if any."""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from trainer.config.base import is_settings
from trainer.config.explain import did_you_mean
from trainer.config.overrides import Settings, nest
from trainer.config.text_keys import text_types
from trainer.config.yaml_text import misread, read_tree, read_whole, scalars
from trainer.errors import ConfigError

_FOLDER = files("trainer") / "recipes"


def recipe_names() -> list[str]:
    return sorted(Path(entry.name).stem for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """Return the YAML of a recipe. Raises ConfigError for an unknown name."""
    if name not in recipe_names():
        raise ConfigError(f"recipe: no recipe is called {name!r}{did_you_mean(name, [*recipe_names(), 'none'])}")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def read_recipe(name: str) -> Settings:
    return deepcopy(_parsed(name))


@cache
def _parsed(name: str) -> Settings:
    return read_yaml(recipe_text(name), source=f"recipe {name}")


def read_settings_file(path: Path) -> Settings:
    """Return the nested settings of a YAML file. Raises ConfigError if it cannot be read."""
    return read_yaml(_text_of(path), source=str(path))


def _text_of(path: Path) -> str:
    try:
        return read_whole(path)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


_SECTION = re.compile(r"^[a-z_]+:.*\n(?: +[a-z_\d]+:.*\n)*", re.MULTILINE)


def read_stored_file(path: Path) -> Settings:
    """Return the same for the config.yaml of a run folder, parsing each text of a section once.

    The runs of a sweep differ in one or two sections, and PyYAML takes most of the time of a report over many runs.
    """
    text = _text_of(path)
    sections = _SECTION.findall(text)
    names = {section.partition(":")[0] for section in sections}
    if "".join(sections) != text or len(names) < len(sections):
        return read_yaml(text, source=str(path))
    try:
        return deepcopy({key: value for section in sections for key, value in _section(section).items()})
    except ConfigError:  # for the line in the whole file
        return read_yaml(text, source=str(path))


@lru_cache(maxsize=4096)
def _section(text: str) -> Settings:
    return read_yaml(text, source="")


def read_yaml(text: str, source: str) -> Settings:
    """Return nested settings. Raises ConfigError that names `source`, also for a key that is given twice."""
    try:
        tree, settings = read_tree(text, as_text=text_types)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error
    if settings is None:
        return {}
    if not is_settings(settings):
        raise ConfigError(f"{source}: expected keys and values, found {type(settings).__name__}")
    problems = [f"{key}: given twice" for key in given_twice(tree)]
    problems += [line for key, node in scalars(tree) if (line := misread(key, node))]
    if problems:
        raise ConfigError(*(f"{source}: {problem}" for problem in problems))
    return nest(settings)


def given_twice(tree: Any) -> list[str]:
    """Return the dotted keys that a YAML tree has more than once. YAML itself silently takes the last one.

    `optimizer.lr: 1` and `optimizer: {lr: 2}` are the same key.
    """
    twice = [key for key, count in Counter(_keys(tree)).items() if count > 1]
    return [key for key in twice if not any(key.startswith(f"{section}.") for section in twice)]


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            yield name
            yield from _keys(value, f"{name}.")
