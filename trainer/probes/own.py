"""A probe of the user's. Whatever it does, the step that it measures goes on as if it had not been there."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trainer.config.probe import OwnProbe
from trainer.own import parts as own
from trainer.probes.due import ProbeAtSteps, Steps
from trainer.probes.untouched import untouched
from trainer.protocols import View


class ExtraProbe(ProbeAtSteps):
    """The probe that `probe.extra` names: a function of the view, or an object that may have a memory."""

    name = "extra"

    def __init__(self, config: OwnProbe, steps: Steps) -> None:
        """Raise ConfigError for a probe that cannot be built."""
        super().__init__(steps)
        self._source = own.source_of("probe.extra", config)
        self._part = own.build("probe.extra", config)

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Return its numbers as `extra/KEY`. Raises ConfigError if they are none.

        It gets copies of what the step goes on with: images, targets, gradient.
        """
        copies = {
            "images": view.images.clone(),
            "targets": view.targets.clone(),
            "gradient": tuple(each.clone() for each in view.gradient),
        }
        with own.in_a_line(self._source, "cannot measure"), untouched(view.model):
            found = self._part(replace(view, **copies))
        if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
            raise self._source.mistake(f"measures {own.described(found)}; return a dict of names and numbers")
        for key, value in found.items():
            single = isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex()
            if not single and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise self._source.mistake(f"{key} is {own.described(value)}, not a number")
        return {f"extra/{key}": _number(value) for key, value in found.items()}

    def state_dict(self) -> Mapping[str, Any]:
        return self._part.state_dict() if hasattr(self._part, "state_dict") else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if hasattr(self._part, "load_state_dict"):
            self._part.load_state_dict(state)


def _number(value: Any) -> Tensor | float:
    return value.detach().reshape(()).to(torch.float32) if isinstance(value, Tensor) else float(value)
