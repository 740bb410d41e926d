"""What the layers of a network put out on a training batch, and how that moves while it trains."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainer.probes.due import Steps
from trainer.probes.layers import layers_of, pick_layers, weight_dims
from trainer.probes.untouched import untouched
from trainer.protocols import View

KEY = "probe.features.layers"
_EPS = 1e-5  # added to a variance before it divides, as in BatchNorm (Ioffe & Szegedy 2015, algorithm 1)


class FeaturesProbe:
    """One more forward pass of the step's whole batch, in float32, in training mode, with dropout masks of its own."""

    name = "features"
    clocked_apart = True

    def __init__(self, steps: Steps, layers: Sequence[str], device: torch.device) -> None:
        self._steps, self._layers, self._device = steps, layers, device
        self._before: dict[str, dict[str, Tensor]] = {}  # of each layer `mean` and `std` [C] when last looked at

    def due(self, step: int) -> bool:
        return step in self._steps

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Of what a layer of C channels puts out, before any norm or activation that is a layer of its own:

        probe/feature_mean/LAYER   over all values
        probe/feature_std/LAYER    over all values
        probe/feature_dead/LAYER   share of channels that are nowhere positive: a ReLU would leave nothing of them
        probe/feature_shift/LAYER  mean over the channels of |mean - mean before| / std before, "before" being the
                                   looked-at step before, whose batch was another; from the second one on. The change of
                                   distributions that Ioffe & Szegedy 2015 (section 2) call internal covariate shift

        A layer that the network does not call as a module, or that puts out more than one tensor, has none of these.
        """
        found: dict[str, Tensor | float] = {}

        def look(name: str, layer: nn.Module, _: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                return
            axis = 1 if weight_dims(layer) > 2 else output.ndim - 1
            over = [each for each in range(output.ndim) if each != axis]
            mean, variance = output.mean(over), output.var(over, correction=0)
            found[f"probe/feature_mean/{name}"] = output.mean()
            found[f"probe/feature_std/{name}"] = output.std(correction=0)
            found[f"probe/feature_dead/{name}"] = (output.amax(over) <= 0).float().mean()
            if before := self._before.get(name):
                found[f"probe/feature_shift/{name}"] = ((mean - before["mean"]).abs() / before["std"]).mean()
            self._before[name] = {"mean": mean, "std": (variance + _EPS).sqrt()}

        modules = layers_of(view.model)
        hooks = [modules[name].register_forward_hook(partial(look, name)) for name in self._layers]
        try:
            with untouched(view.model), torch.no_grad():
                view.model(view.images)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def state_dict(self) -> Mapping[str, Any]:
        return self._before

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._before = {
            name: {key: value.to(self._device) for key, value in kept.items()} for name, kept in state.items()
        }


def featured_layers(model: nn.Module, words: Sequence[str]) -> list[str]:
    """Raises ConfigError for a word that means no layer of the network."""
    return pick_layers(words, list(layers_of(model)), KEY)
