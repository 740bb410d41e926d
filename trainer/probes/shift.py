"""Internal covariate shift as a change of gradients (Santurkar et al. 2018, section 2.2, definition 2.1)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.probes.due import ProbeAtSteps, Steps
from trainer.probes.gradients import change, flat, norm
from trainer.probes.layers import layers_of, pick_layers
from trainer.probes.untouched import untouched
from trainer.protocols import View

KEY = "probe.shift.layers"


class ShiftProbe(ProbeAtSteps):
    """A probe of how much the update of the layers before it changes a layer's gradient. Costs a gradient per layer."""

    name = "shift"

    def __init__(self, steps: Steps, layers: Mapping[str, slice]) -> None:
        """`layers`: the slice of each layer's own parameters among the trained ones, in the network's order."""
        super().__init__(steps)
        self._layers = layers

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Return the shift of each layer i with own weights and bias w_i, on the step's batch with its dropout masks.

        G_i  = gradient of the objective for w_i at w(t)
        G'_i = the same with all parameters before w_i from w(t+1), after the optimizer's step

        probe/shift_l2/LAYER      ||G_i - G'_i||
        probe/shift_cosine/LAYER  cosine of G_i and G'_i
        """
        after = view.next_parameters()
        metrics: dict[str, Tensor | float] = {}
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
                metrics |= {f"probe/shift_l2/{name}": shift.distance, f"probe/shift_cosine/{name}": shift.cosine}
        return metrics


def shifting_layers(model: nn.Module, asked: Sequence[str]) -> dict[str, slice]:
    """Return the layers asked for, each with the slice of its own parameters among the trained ones.

    By default all trained layers with a trained parameter before them: the first layer's shift is 0 by definition.
    Raises ConfigError for a layer that the network does not have, or whose weights are frozen.
    """
    layers = layers_of(model)
    names = pick_layers(asked, list(layers), KEY)
    places = {id(p): place for place, p in enumerate(p for p in model.parameters() if p.requires_grad)}
    own = {name: [places[id(p)] for p in layers[name].parameters(recurse=False) if id(p) in places] for name in names}
    if asked and (frozen := [name for name in names if not own[name]]):
        raise ConfigError(*(f"{KEY}: {name}: its weights are frozen and have no gradient" for name in frozen))
    slices = {name: slice(of_layer[0], of_layer[-1] + 1) for name, of_layer in own.items() if of_layer}
    return {name: place for name, place in slices.items() if asked or place.start}
