"""Own parts: a network, loss, optimizer, augmentation, probe or data set of yours, in a file or an installed package.

`FILE.py:NAME` is a name in a file, `MODULE:NAME` one in an installed module. A package can give it a short name, as an
entry point.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator

from trainer.config.base import Section, Younger, is_settings
from trainer.config.explain import section_types
from trainer.config.model import network_table

GROUPS = {
    "model": "cifar_sweeps.models",
    "loss": "cifar_sweeps.losses",
    "optimizer": "cifar_sweeps.optimizers",
    "augment.extra": "cifar_sweeps.augments",
    "probe.extra": "cifar_sweeps.probes",
    "data": "cifar_sweeps.data",
}
"""The sections that may be own parts, and the group of entry points of each."""

_closed: dict[str, Any] = {}  # section -> the union of the trainer's own choices


class OwnPart(Section):
    """A part of yours. Each of its arguments is a key here, too: docs/own.md."""

    model_config = ConfigDict(extra="allow")

    name: str
    """`FILE.py:NAME`, `MODULE:NAME`, or the name of an installed package's entry point."""
    code: str | None = None
    """Hash of its text, which the trainer fills in: two versions are two configurations. Another text is refused."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The part's keyword arguments, as they are stored."""
        return dict(self.model_extra or {})


class NoExtra(Section):
    """No part of yours, where the trainer has none of its own either."""

    name: Annotated[Literal["none"], Younger()] = "none"


@cache
def packaged(section: str) -> dict[str, str]:
    """Return the entry points of installed packages for a section: name -> `MODULE:NAME`."""
    return {each.name: f"{each.module}:{each.attr}" for each in entry_points(group=GROUPS[section])}


def is_own(section: str, name: object) -> bool:
    """Return whether a name means an own part. No package can take a name of the trainer's.

    A file without a NAME is one, too, so that a message can tell the names in it.
    """
    if not isinstance(name, str) or name.startswith("timm/") or name in _known(section):
        return False
    return ":" in name or name.endswith(".py") or name in packaged(section)


def own_or(section: str, closed: Any) -> Discriminator:
    """Return how the choices of a closed union, tagged `closed`, are told from an own part, tagged `own`."""
    _closed[section] = closed

    def tag(value: Any) -> str:
        name = value.get("name") if is_settings(value) else getattr(value, "name", None)
        return "own" if is_own(section, name) else "closed"

    choose: Callable[[Any], str] = tag
    return Discriminator(choose)


@cache
def _known(section: str) -> frozenset[str]:
    """Return the trainer's own names in a section."""
    if section == "model":
        return frozenset(network_table()["networks"])
    return frozenset(str(option.model_fields["name"].default) for option in section_types(_closed[section]))
