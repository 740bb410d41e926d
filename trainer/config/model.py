"""`model`: the network. Every key except `name` is an argument of its builder in `models/`."""

from typing import Any

from pydantic import ConfigDict

from trainer.config.base import Section


class Model(Section):
    model_config = ConfigDict(extra="allow")

    name: str = "resnet18"
    """Name of a network: one that `trainer models` lists, or `timm/NAME`."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The builder's keyword arguments, not yet checked against its signature."""
        return dict(self.model_extra or {})
