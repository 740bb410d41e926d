"""Panels as custom charts of a W&B entity."""

from collections.abc import Iterator, Sequence

import wandb

from trainer.errors import ConfigError, first_line
from trainer.panels.registry import PANELS, panel


def push_panels(entity: str, names: Sequence[str]) -> Iterator[str]:
    """Register each panel and yield a line on it. Panels that W&B already has stay, since names contain the version.

    Raises ConfigError for an unknown panel before anything is sent, and at the first that W&B refuses.
    """
    chosen = [panel(name) for name in names] or PANELS
    api = _api()
    for pushed in chosen:
        try:
            api.create_custom_chart(
                entity=entity,
                name=pushed.pushed_name,
                display_name=f"{pushed.title} (cifar-sweeps)",
                spec_type="vega2",
                access="private",
                spec=pushed.spec,
            )
        except Exception as error:  # the client's own errors, those of requests, and plain ValueErrors
            if not _is_there_already(error):
                raise ConfigError(f"{entity}/{pushed.pushed_name}: {first_line(error)}") from error
            yield f"{entity}/{pushed.pushed_name}: is there already"
        else:
            yield f"{entity}/{pushed.pushed_name}: pushed"


def _is_there_already(error: Exception) -> bool:
    """Return whether W&B refused because it has the chart. Only its message says so: no call lists an entity's charts.

    That the entity "does not exist" is another refusal.
    """
    said = str(error).lower()
    return "already exist" in said or "duplicate" in said


def _api() -> wandb.Api:
    try:
        return wandb.Api()
    except Exception as error:  # no key or no server: each has its own class
        raise ConfigError(f"W&B: {first_line(error)}") from error
