"""Internal covariate shift as a change of gradients (Santurkar et al. 2018, section 2.2, definition 2.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.probes.due import Steps
from trainer.probes.gradients import change, flat, norm
from trainer.probes.layers import layers_of, pick_layers
from trainer.probes.untouched import untouched
from trainer.protocols import View

KEY = "probe.shift.layers"


class ShiftProbe:
    """By how much the update of the layers before it changes a layer's own gradient; a gradient for each layer."""

    name = "shift"
    clocked_apart = True

    def __init__(self, steps: Steps, layers: Mapping[str, slice]) -> None:
        """`layers`: where each layer's own parameters lie among those that are trained, in the network's order."""
        self._steps, self._layers = steps, layers

    def due(self, step: int) -> bool:
        return step in self._steps

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Of layer i with own weights and bias w_i, all on the step's batch, dropout masks included:

        G_i  = gradient of the objective for w_i at w(t)
        G'_i = the same where all parameters before w_i are those of w(t+1), as the optimizer's step will leave them

        probe/shift_l2/LAYER      ||G_i - G'_i||
        probe/shift_cosine/LAYER  of G_i and G'_i
        """
        after = view.next_parameters()
        found: dict[str, Tensor | float] = {}
        with untouched(view.model):
            parameters = [p for p in view.model.parameters() if p.requires_grad]
            updated = 0
            for name, own in self._layers.items():
                before = slice(updated, own.start)
                with torch.no_grad():
                    for parameter, value in zip(parameters[before], after[before], strict=True):
                        parameter.copy_(value)
                updated = own.start
                _, gradient = view.loss_and_gradient()
                here, there = flat(view.gradient[own]), flat(gradient[own])
                shift = change(there, here, norm(here))
                found |= {f"probe/shift_l2/{name}": shift.distance, f"probe/shift_cosine/{name}": shift.cosine}
        return found

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


def shifting_layers(model: nn.Module, words: Sequence[str]) -> dict[str, slice]:
    """The layers that a config's words mean, each with the place of its own parameters among those that are trained.

    No words mean every layer that is trained and has a trained parameter before it: the first one's shift is 0 by
    definition. Raises ConfigError for a word that means no layer of the network, or one whose weights are frozen.
    """
    layers = layers_of(model)
    names = pick_layers(words, list(layers), KEY)
    places = {id(p): place for place, p in enumerate(p for p in model.parameters() if p.requires_grad)}
    own = {name: [places[id(p)] for p in layers[name].parameters(recurse=False) if id(p) in places] for name in names}
    if words and (frozen := [name for name in names if not own[name]]):
        raise ConfigError(*(f"{KEY}: {name}: its weights are frozen and have no gradient" for name in frozen))
    slices = {name: slice(found[0], found[-1] + 1) for name, found in own.items() if found}
    return {name: place for name, place in slices.items() if words or place.start}
