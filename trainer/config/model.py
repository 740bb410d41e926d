"""`model`: the network. Every key except `name` is an argument of its builder in `models/`."""

import json
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from trainer.config.base import Section, Younger


class Model(Section):
    model_config = ConfigDict(extra="allow")

    name: str = "resnet18"
    """Name of a network: one that `trainer models` lists, `timm/NAME`, or an own one as `FILE.py:NAME`."""

    sync_norm: Annotated[bool, Younger()] = False
    """With train.devices: compute the statistics of BatchNorm over the images of all devices, and not those of each."""

    norm_momentum: Annotated[Annotated[float, Field(gt=0, le=1)] | None, Younger()] = None
    """Share of the running statistics of BatchNorm that each step replaces (torch's `momentum`). null is the network's
    own: 0.1, and 0.4 for airbench. A short run needs more."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The builder's keyword arguments, not yet checked against its signature, and the `code` of an own one."""
        return dict(self.model_extra or {})


@cache
def network_table() -> dict[str, Any]:
    """Return `set_by_data` (keys that are no arguments), `timm` (arguments of its networks) and `networks` by name."""
    return json.loads((files("trainer") / "training" / "networks.json").read_text(encoding="utf-8"))
