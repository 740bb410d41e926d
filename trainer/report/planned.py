"""Values of a sweep's points, as its file writes them and as runs store them.

Paths in home directories are as an archive has them, or else its runs would be of other points than those of a folder.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from trainer.config.load import Complete, LoadedConfig, load_config
from trainer.config.overrides import flatten, read_overrides
from trainer.errors import UserError
from trainer.own.parts import own_sections
from trainer.report.folders import Run
from trainer.runs.groups import SEED
from trainer.runs.private import public, public_config
from trainer.sweep.check import remembered
from trainer.sweep.file import Sweep
from trainer.sweep.points import Point
from trainer.training.network_arguments import complete_parts


@cache
def networks_too() -> Complete:
    """Return the check that knows each network's defaults; it answers once for each network."""
    return remembered(complete_parts)


def loaded(point: Point, sweep: Sweep) -> LoadedConfig | None:
    """Return what a point resolves to, or None if it is not valid or has own parts.

    Their text is not here to be run, and a hash keeps versions apart.
    """
    words = [*sweep.fixed, *point.overrides]
    if any(own_sections(read_overrides(words))):
        return None
    try:
        return load_config(words, complete=networks_too())
    except UserError:
        return None


def config_of(found: LoadedConfig | None) -> dict[str, Any]:
    """Return the flat config of what a point resolves to, empty for nothing."""
    return public_config(flatten(found.config.model_dump(mode="json"))) if found else {}


def written(point: Point, keys: Sequence[str]) -> dict[str, Any]:
    return {key: public(point.values[key]) for key in keys}


def stored(point: Point, sweep: Sweep, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values as a run of the point stores them: false for 0, and all keys of a section."""
    config = config_of(loaded(point, sweep))
    return {key: _value(config, key, public(point.values[key])) for key in keys}


def of_run(run: Run, keys: Sequence[str]) -> dict[str, Any]:
    """Return a run's values of the keys that a sweep varies. Its command alone names a recipe."""
    return {key: _value(run.config, key, public(run.overrides.get(key))) for key in keys}


def seed_of(point: Point, sweep: Sweep) -> int:
    """Return the seed of a point, which the command may set for all."""
    return int(point.values.get(SEED, flatten(read_overrides(sweep.fixed)).get(SEED)) or 0)


def _value(config: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    """Return a value of a flat config, or of a section all its values, or else another."""
    section = {name.removeprefix(f"{key}."): value for name, value in config.items() if name.startswith(f"{key}.")}
    return config.get(key, section or otherwise)
