"""The assignment that a W&B agent gives to the run it starts. Needs no wandb.

An agent starts `trainer train` with the swept values twice: as overrides, where `str()` has made `True` of true and `1`
of "1", and exactly, in the YAML file that WANDB_SWEEP_PARAM_PATH names. The file counts. The overrides must agree.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config.base import is_settings
from trainer.config.overrides import Settings, flatten, nest, read_overrides, read_word, write_override
from trainer.config.yaml_text import read_tree, read_whole
from trainer.errors import ConfigError
from trainer.own.travel import hold_to, is_text, texts_of

_FILE = "WANDB_SWEEP_PARAM_PATH"


@dataclass(frozen=True)
class Assignment:
    """A run that W&B has handed out."""

    values: Mapping[str, Any]  # by flat dotted key
    name: str | None  # of its run folder, the same each time W&B hands this run out. None without an id

    def overrides(self, given: Sequence[str]) -> list[str]:
        """Return `given` followed by each swept value as an override from which exactly that value is read.

        `given` may have the form of any macro: `--k=v`, `k=v`, `--k v`, `--k` of true, `+k=v`, `++k=v`, JSON, its file.
        The texts of own parts are remembered, and the parts are held to them. Raises ConfigError with a line for each
        override in `given` that has another value.
        """
        given = list(_as_overrides(given, self.values))
        said = flatten(read_overrides(given))
        if problems := [
            f"{key}: the sweep says {value!r} and the command {said[key]!r}"
            for key, value in self.values.items()
            if key in said and not _agree(key, said[key], value)
        ]:
            raise ConfigError(*problems)
        if not any(map(is_text, self.values)):
            return [*given, *(write_override(key, value) for key, value in self.values.items())]
        values = {key: value for key, value in self.values.items() if not is_text(key)}
        words = [word for word in given if not is_text(word.removeprefix("--"))]
        pins = hold_to(texts_of(self.values), {**said, **values})
        return [*words, *(write_override(key, value) for key, value in values.items()), *pins]


def assignment(env: Mapping[str, str] = os.environ) -> Assignment | None:
    """Return the assignment of this process, or None if no agent started it. Raises ConfigError."""
    if not (path := env.get(_FILE)):
        return None
    name = "-".join(_as_name(env[key]) for key in ("WANDB_SWEEP_ID", "WANDB_RUN_ID") if env.get(key))
    return Assignment(flatten(_read(Path(path))), name if env.get("WANDB_RUN_ID") else None)


def begun(folder: Path) -> Path | None:
    """Return `folder` if its run has begun and can be resumed. A new run takes what a kill left before that."""
    return folder if (folder / "config.yaml").exists() else None


def _read(path: Path) -> Settings:
    """Read `KEY: {value: VALUE}` as nested settings. W&B wraps the outermost keys only."""
    try:
        _, content = read_tree(read_whole(path))
    except ValueError as error:
        raise ConfigError(f"{_FILE}: {path}: cannot be read: {error}") from error
    if not is_settings(content):
        raise ConfigError(f"{_FILE}: {path}: expected KEY: {{value: VALUE}}")
    return nest(dict(_unwrapped(content, path)))


def _unwrapped(content: Settings, path: Path) -> Iterator[tuple[str, Any]]:
    for key, wrapped in content.items():
        if key == "wandb_version":
            continue
        if not is_settings(wrapped) or "value" not in wrapped:
            raise ConfigError(f"{_FILE}: {path}: {key}: expected {{value: VALUE}}")
        yield key, wrapped["value"]


def _as_overrides(given: Sequence[str], values: Mapping[str, Any]) -> Iterator[str]:
    words = list(given)
    while words:
        word = words.pop(0)
        key = word.removeprefix("--")
        if word.startswith("{") or (word.endswith(".json") and Path(word).is_file()):
            yield from (write_override(k, v) for k, v in _json(word).items())
        elif word.startswith("+"):
            yield word.lstrip("+")
        elif key == word or "=" in word:
            yield word
        elif words and _is_value(words[0], key, values):
            yield f"{key}={words.pop(0)}"
        elif values.get(key) is not True:
            yield word  # which is refused


def _is_value(word: str, key: str, values: Mapping[str, Any]) -> bool:
    """Return whether an agent writes `--key` and then this word. A section is written as one dict."""
    return (
        word == str(values[key]) if key in values else word[:1] == "{" and any(k.startswith(f"{key}.") for k in values)
    )


def _json(word: str) -> Settings:
    """Read `${args_json}`, or the file that `${args_json_file}` names. Raises ConfigError."""
    try:
        content = json.loads(word if word.startswith("{") else Path(word).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{word}: not JSON: {error}") from error
    if not is_settings(content):
        raise ConfigError(f"{word}: expected the JSON of keys and values")
    return content


def _agree(key: str, said: Any, value: Any) -> bool:
    """Return whether an agent can have written `value` like this. `str()` does not distinguish all values."""
    words = (str(value), json.dumps(value))  # of `${args}` and of `${args_json}`
    return _same(said, value) or any(_same(said, read_word(key, word)) for word in words)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other  # 1 and 1.0 are one value, 1 and True two


def _as_name(id: str) -> str:
    return re.sub(r"[^\w.@+-]", "-", id)
