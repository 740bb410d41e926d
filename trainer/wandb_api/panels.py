"""Panels as custom charts of a W&B entity."""

from collections.abc import Iterator, Sequence

import wandb

from trainer.errors import ConfigError, first_line
from trainer.panels.registry import PANELS, panel


def push_panels(entity: str, names: Sequence[str]) -> Iterator[str]:
    """Register each, and say of each in a line what came of it. What is there already stays: its name has its version.

    Raises ConfigError for an unknown panel, before anything is sent, and at the first that W&B refuses.
    """
    chosen = [panel(name) for name in names] or PANELS
    api = _api()
    for each in chosen:
        try:
            api.create_custom_chart(
                entity=entity,
                name=each.pushed_name,
                display_name=f"{each.title} (cifar-sweeps)",
                spec_type="vega2",
                access="private",
                spec=each.spec,
            )
        except Exception as error:  # the client raises its own, requests' and plain ValueErrors alike
            if not _is_there_already(error):
                raise ConfigError(f"{entity}/{each.pushed_name}: {first_line(error)}") from error
            yield f"{entity}/{each.pushed_name}: is there already"
        else:
            yield f"{entity}/{each.pushed_name}: pushed"


def _is_there_already(error: Exception) -> bool:
    """By the words of the refusal: no call lists an entity's charts. That the entity "does not exist" is another."""
    said = str(error).lower()
    return "already exist" in said or "duplicate" in said


def _api() -> wandb.Api:
    try:
        return wandb.Api()
    except Exception as error:  # no key, no server: each has a class of its own
        raise ConfigError(f"W&B: {first_line(error)}") from error
