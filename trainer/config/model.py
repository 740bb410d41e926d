"""`model`: which network. Every key but `name` is an argument of that network's builder in `models/`."""

from typing import Any

from pydantic import ConfigDict

from trainer.config.base import Section


class Model(Section):
    model_config = ConfigDict(extra="allow")

    name: str = "resnet18"
    """A name that `trainer models` lists, or `timm/NAME`."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The builder's keyword arguments, still to be checked against its signature."""
        return dict(self.model_extra or {})
