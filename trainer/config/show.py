"""A config as YAML: for a run folder or a dry run, and for a person with the origin of each value."""

from typing import cast

import yaml

from trainer.config.base import is_settings
from trainer.config.load import LoadedConfig
from trainer.config.run import RunConfig


def to_yaml(config: RunConfig) -> str:
    """Return the whole config, one value per line. It can be read back as a `--config` file."""
    return yaml.safe_dump(_flow_lists(config.model_dump(mode="json")), sort_keys=False, width=10**6)


def with_origins(loaded: LoadedConfig) -> str:
    """Return `to_yaml` with a comment after each value that names its origin."""
    lines: list[str] = []
    path: list[str] = []
    for line in to_yaml(loaded.config).splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        path = [*path[:depth], line.strip().partition(":")[0]]
        origin = loaded.origins.get(".".join(path))
        lines.append(f"{line:<44} # {origin}" if origin else line)
    return "\n".join(lines) + "\n"


class _Flow(list[object]):
    """A list to be written on one line."""


yaml.SafeDumper.add_representer(
    _Flow, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def _flow_lists(value: object) -> object:
    if is_settings(value):
        return {key: _flow_lists(inner) for key, inner in value.items()}
    return _Flow(cast("list[object]", value)) if isinstance(value, list) else value
